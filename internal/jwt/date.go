package jwt

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Dates are accepted up to this many seconds on either side of 1970. Beyond it a number is no date,
// and golang-jwt's conversion, for one, would wrap it into the past.
const maxSeconds = 1_000_000_000_000_000_000

// Dates outside the years 1 to 9999 are moved to the nearest end: time.Time compares them but cannot
// write them as JSON, and nothing that far away differs from its neighbour.
const (
	firstSecond = -62135596799
	lastSecond  = 253402300799
)

var errDate = errors.New("out of the range of dates")

// parseDate reads a NumericDate (RFC 7519, Section 2): seconds since 1970 as a JSON number, with
// fractions and exponents. What is finer than a nanosecond is cut off. It works on the digits: a
// float64 has too few of them for large numbers, and arbitrary precision would let 1e1000000000
// decide how much work is done. The grammar of n has been checked.
func parseDate(n string) (time.Time, error) {
	if len(n) <= 18 {
		if sec, err := strconv.ParseInt(n, 10, 64); err == nil {
			return clampDate(sec, 0), nil
		}
	}
	sec, nsec, err := parseDecimal(n)
	if err != nil {
		return time.Time{}, err
	}
	return clampDate(sec, nsec), nil
}

// parseDecimal returns whole seconds and nanoseconds, both with the sign of the number.
func parseDecimal(n string) (sec, nsec int64, err error) {
	mantissa, negative := strings.CutPrefix(n, "-")
	exponent := 0
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		exponent = parseExponent(mantissa[i+1:])
		mantissa = mantissa[:i]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return 0, 0, nil
	}
	// The decimal point stands after this many of the digits.
	point := exponent + len(digits) - len(fraction)
	if point > 18 {
		// Of nineteen digits only the bound itself fits.
		if point > 19 || strings.TrimRight(digits, "0") != "1" {
			return 0, 0, errDate
		}
		sec = maxSeconds
	} else {
		for i := range point {
			sec = sec*10 + digit(digits, i)
		}
		for i := point; i < point+9; i++ {
			nsec = nsec*10 + digit(digits, i)
		}
	}
	if negative {
		return -sec, -nsec, nil
	}
	return sec, nsec, nil
}

func digit(digits string, i int) int64 {
	if i < 0 || i >= len(digits) {
		return 0
	}
	return int64(digits[i] - '0')
}

// parseExponent stops where more no longer matters: a token holds fewer than a million digits.
func parseExponent(s string) int {
	const limit = 1_000_000
	s, negative := strings.CutPrefix(strings.TrimPrefix(s, "+"), "-")
	e := 0
	for i := range len(s) {
		if e = e*10 + int(s[i]-'0'); e > limit {
			e = limit
			break
		}
	}
	if negative {
		return -e
	}
	return e
}

func clampDate(sec, nsec int64) time.Time {
	switch {
	case sec > lastSecond:
		sec, nsec = lastSecond, 0
	case sec < firstSecond:
		sec, nsec = firstSecond, 0
	}
	return time.Unix(sec, nsec).UTC()
}
