package cimd

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// freshness is how long an answer may be used (RFC 9111, Section 4.2): zero for one that must not be kept or has to be asked for again each time.
func (f *Fetcher) freshness(h http.Header) time.Duration {
	age := f.cfg.DefaultAge
	if control := strings.Join(h.Values("Cache-Control"), ","); control != "" {
		said := false
		for directive := range strings.SplitSeq(control, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				// The first one counts, and one that cannot be read means stale (Section 4.2.1).
				if !said {
					said = true
					age = seconds(strings.Trim(strings.TrimSpace(value), `"`))
				}
			}
		}
		if said {
			return bounded(age-seconds(h.Get("Age")), f.cfg.MaxAge)
		}
	}
	if e := h.Get("Expires"); e != "" {
		until, err := http.ParseTime(e)
		if err != nil {
			return 0 // RFC 9111, Section 5.3: above all "0"
		}
		date, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			date = f.cfg.Now()
		}
		age = until.Sub(date)
	}
	return bounded(age-seconds(h.Get("Age")), f.cfg.MaxAge)
}

func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

func bounded(d, most time.Duration) time.Duration { return max(0, min(d, most)) }
