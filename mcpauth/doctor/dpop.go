package doctor

import (
	"context"
	"slices"
	"strings"
)

// judgeDPoP compares what the challenge, the metadata and the authorization server say about DPoP (RFC 9449).
func (v *visit) judgeDPoP(context.Context) {
	line, offered := v.challenge.of("dpop")
	if v.document == nil {
		if offered {
			v.pass("offered: " + v.quote(line.params["algs"]))
		} else {
			v.skip("no resource metadata was found")
		}
		return
	}
	_, bearer := v.challenge.of("bearer")
	published := v.document.DPoPSigningAlgValuesSupported
	required := v.document.DPoPBoundAccessTokensRequired != nil && *v.document.DPoPBoundAccessTokensRequired
	if !offered && len(published) == 0 && !required {
		v.pass("not offered")
		return
	}
	trouble := func(status Status, cause, got, cure, clause string, clients ...string) {
		v.add(Finding{Status: status, Cause: cause, Symptom: Refused, Got: got, Cure: cure, Clause: clause, Clients: clients})
	}
	algs := strings.Fields(line.params["algs"])
	if offered && len(v.challenge.lines) > 0 && !sameSet(algs, published) {
		trouble(Warn, "algorithms", "algs of the challenge: "+v.list(algs)+"; dpop_signing_alg_values_supported: "+v.list(published),
			"name the same algorithms in both: a client may choose one that is then refused", "RFC 9449, Section 7.1; RFC 9728, Section 2")
	}
	if slices.ContainsFunc(append(algs, published...), func(a string) bool { return a == "none" || strings.HasPrefix(a, "HS") }) {
		trouble(Fail, "symmetric", "none or HS256 is among the algorithms", "allow asymmetric algorithms only", "RFC 9449, Section 4.3")
	}
	if required && bearer {
		trouble(Warn, "bearer-offered", "dpop_bound_access_tokens_required is true, and the challenge offers Bearer",
			"make them agree: offer Bearer only where unbound tokens are accepted", "RFC 9728, Section 2")
	}
	if required {
		trouble(Warn, "required", "DPoP is required", "clients without DPoP can log in and are then refused; accept bearer tokens, too, if they should get in (DPoPOptional)",
			"RFC 9728, Section 2", who(func(c client) bool { return !c.dpop })...)
		for _, s := range v.servers {
			if _, ok := s.texts("dpop_signing_alg_values_supported"); s.members != nil && !ok {
				trouble(Fail, "not-at-server", v.named(s)+"the authorization server does not announce DPoP", "turn on DPoP at the authorization server, or stop requiring it here: nobody can get a bound token", "RFC 9449, Section 5.1")
			}
		}
	}
	if !v.found() {
		got := "optional: " + v.list(published)
		if v.badToken != nil && v.badToken.header.Get("Dpop-Nonce") != "" {
			got += ", with nonces"
		}
		v.pass(got)
	}
}

func sameSet(a, b []string) bool {
	has := func(x, y []string) bool {
		return !slices.ContainsFunc(x, func(s string) bool { return !slices.Contains(y, s) })
	}
	return has(a, b) && has(b, a)
}
