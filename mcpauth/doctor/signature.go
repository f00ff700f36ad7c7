package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/prm"
)

// judgeSignature verifies signed_metadata (RFC 9728, Section 2.2) where the resource itself is the issuer: its keys are at the jwks_uri of the
// document. That shows that the signature is in order, and not that anybody should trust it. The known clients read no signature, so what is
// wrong is a warning.
func (v *visit) judgeSignature(ctx context.Context) {
	if v.document == nil {
		v.skip("no resource metadata was found")
		return
	}
	issuer, signed := issuerOf(v.document.raw)
	resource := v.document.Resource
	f := Finding{Status: Warn, Clause: "RFC 9728, Section 2.2 and 3.3"}
	switch {
	case !signed:
		v.skip("the document is not signed, which is optional")
		return
	case issuer == "":
		f.Cause, f.Got, f.Cure = "malformed", "signed_metadata is no JWT with an iss", "write a JWT in its compact form, with the claim iss, or leave signed_metadata out"
		v.add(f)
		return
	case issuer != resource:
		v.skip("signed by " + v.quote(shownURL(issuer)) + ", whose keys the reader must know")
		return
	case v.document.JWKSURI == "":
		f.Cause, f.Got = "no-keys", "the resource has signed the document, which has no jwks_uri"
		f.Cure = "publish the public keys at a jwks_uri of the resource, for readers that have them from nowhere else; in this library: prm.KeySet"
		v.add(f)
		return
	}
	a := v.send(ctx, request{method: http.MethodGet, url: v.document.JWKSURI, header: http.Header{"Accept": {"application/jwk-set+json, application/json"}}})
	set, err := readKeys(a.body)
	if a.problem != "" || a.status != http.StatusOK || err != nil {
		f.Cause, f.Got = "no-keys", "jwks_uri of the resource gives no key set"
		f.Cure = "make jwks_uri of the resource answer 200 with a JWK Set, to everybody and without a redirect"
		v.add(f)
		return
	}
	verifier := prm.Verifier{Resource: resource, Now: v.opt.Now}
	for _, key := range set.usable {
		verifier.Keys = append(verifier.Keys, prm.VerificationKey{ID: key.ID, Algorithm: key.Algorithm, Public: key.Public})
	}
	if len(verifier.Keys) == 0 {
		err = errors.New("prm: the key set of the resource has no key that can verify")
	} else if _, err = verifier.Verify(v.document.raw); err == nil {
		v.pass("signed by the resource, with a key of its jwks_uri")
		return
	}
	f.Cause, f.Got = "not-verified", v.quote(strings.TrimPrefix(err.Error(), "prm: "))
	f.Cure = "sign exactly the members that are published, anew before exp, with a key that is at jwks_uri; readers that look at the signature refuse the document, and others do not notice"
	v.add(f)
}

// issuerOf reads iss of signed_metadata without verifying anything. The document has been read by prm, so it is bounded.
func issuerOf(document []byte) (issuer string, signed bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(document, &members) != nil {
		return "", false
	}
	raw, signed := members["signed_metadata"]
	var text string
	if !signed || json.Unmarshal(raw, &text) != nil {
		return "", signed
	}
	payload, err := jws.Decode(jws.Split(text).Payload)
	var claims map[string]json.RawMessage
	if err != nil || json.Unmarshal(payload, &claims) != nil || json.Unmarshal(claims["iss"], &issuer) != nil {
		return "", true
	}
	return issuer, true
}
