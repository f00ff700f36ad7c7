package jwks

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// defaultAge is how long a set is fresh whose server does not say: long enough
// to be no load, short enough that a revoked key does not live for an hour.
const defaultAge = 5 * time.Minute

// freshness is the lifetime that the answer gives itself (RFC 9111, Section
// 4.2.1, for a private cache), less the time it already spent in shared caches.
// The caller clamps it; it may be negative.
func freshness(h http.Header) time.Duration {
	age := defaultAge
	for _, field := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(field, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				age = seconds(strings.Trim(value, `"`))
			}
		}
	}
	if spent := h.Get("Age"); spent != "" {
		age -= seconds(spent)
	}
	return age
}

// seconds reads delta-seconds (RFC 9111, Section 1.2.2): digits, of which too
// many mean a very long time. Anything else is no time at all.
func seconds(s string) time.Duration {
	const long = 1 << 31
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > long {
		n = long
	}
	return time.Duration(n) * time.Second
}
