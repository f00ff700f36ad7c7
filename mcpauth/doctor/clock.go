package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// How far clocks may differ. Verifiers usually allow 30 s; the Date field knows whole seconds, and the way takes time.
const (
	uneasy = 30 * time.Second
	broken = 5 * time.Minute
)

// judgeClocks compares the Date fields of the MCP server and the authorization server with this computer's clock and with each other.
func (v *visit) judgeClocks(context.Context) {
	if v.dead {
		v.skip("the server cannot be reached")
		return
	}
	here, ok := ahead(v.probes["POST"])
	if !ok {
		v.skip("the server sends no Date field")
		return
	}
	v.judgeClock("this computer", here)
	for _, s := range v.servers {
		if there, ok := ahead(s.answer); ok {
			suffix := ""
			if len(v.servers) > 1 {
				suffix = " " + v.quote(s.issuer)
			}
			v.judgeClock("the authorization server"+suffix, here-there)
		}
	}
}

// ahead is how far the clock of a server goes before ours.
func ahead(a *answer) (time.Duration, bool) {
	if a == nil {
		return 0, false
	}
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return 0, false
	}
	return date.Sub(a.at).Round(time.Second), true
}

func (v *visit) judgeClock(against string, ahead time.Duration) {
	word := "ahead of"
	if ahead < 0 {
		word, ahead = "behind", -ahead
	}
	f := Finding{
		Status: Warn, Cause: "skew", Symptom: Refused, Got: fmt.Sprintf("the clock of the server is %v %s %s", ahead, word, against),
		Cure: "synchronize the clocks (NTP): tokens look expired or not valid yet, and DPoP proofs old; where a proxy or cache answered, its clock is meant", Clause: "RFC 7519, Section 4.1.4",
	}
	switch {
	case ahead <= uneasy:
		v.pass(f.Got)
		return
	case ahead > broken:
		f.Status = Fail
	}
	v.add(f)
}
