package estimate_test

import (
	"math"
	"testing"

	"github.com/go-mcpauth/sdk/examples/bench/internal/estimate"
)

// The intervals are those of any table of the sign test.
func TestEstimate(t *testing.T) {
	for _, test := range []struct {
		n                             int
		median, low, high, confidence float64
	}{
		{1, 1, 1, 1, 0},
		{2, 1.5, 1, 2, 0.5},
		{5, 3, 1, 5, 0.9375},
		{6, 3.5, 1, 6, 0.96875},
		{10, 5.5, 2, 9, 0.978515625},
		{20, 10.5, 6, 15, 0.9586},
	} {
		values := make([]float64, test.n)
		for i := range values {
			values[(7*i)%test.n] = float64(i + 1)
		}
		e := estimate.Of(values)
		if e.Median != test.median || e.Low != test.low || e.High != test.high || math.Abs(e.Confidence-test.confidence) > 1e-4 {
			t.Errorf("of %d values: %v with %v, want %v", test.n, e, e.Confidence, test)
		}
	}
}
