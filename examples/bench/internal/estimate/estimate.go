// Package estimate says what few measurements tell of the true value.
package estimate

import (
	"fmt"
	"math"
	"slices"
)

// An Estimate is a median, with an interval between two order statistics that contains the true one with
// the given confidence, whatever the distribution.
type Estimate struct {
	Median, Low, High float64
	Confidence        float64 // 0 to 1
}

// Of takes the narrowest symmetric interval with at least 95 %, or all that there is. There must be a value.
func Of(values []float64) Estimate {
	x := slices.Sorted(slices.Values(values))
	n := len(x)
	// The true median lies outside of [x[k], x[n-1-k]] if at most k values fall to one side of it.
	k, outside := 0, 2*math.Pow(0.5, float64(n))
	for tail, term := outside, outside; 2*(k+1) < n-1; k++ {
		term *= float64(n-k) / float64(k+1)
		if tail += term; tail > 0.05 {
			break
		}
		outside = tail
	}
	return Estimate{(x[(n-1)/2] + x[n/2]) / 2, x[k], x[n-1-k], 1 - outside}
}

// String writes the median and, in brackets, the interval.
func (e Estimate) String() string { return fmt.Sprintf("%.3f [%.3f, %.3f]", e.Median, e.Low, e.High) }
