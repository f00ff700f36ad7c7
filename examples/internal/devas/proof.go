package devas

import (
	"errors"
	"net/http"
	"strings"

	"github.com/go-mcpauth/sdk/internal/dpop"
	"github.com/go-mcpauth/sdk/internal/nonce"
	"github.com/go-mcpauth/sdk/internal/replay"
)

// proofs checks the DPoP proofs of token requests (RFC 9449, Section 5). The library's own checks are switched off: they come after an error would have
// ended the grant, know no nonces and call every fault invalid_request.
type proofs struct {
	verifier *dpop.Verifier
	seen     *replay.Store
	nonces   *nonce.Source // nil: none asked for
}

// maxProofs bounds the remembered proofs of a window.
const maxProofs = 1 << 16

func newProofs(cfg Config) (*proofs, error) {
	p := &proofs{seen: replay.New(replay.Config{Capacity: maxProofs, Now: cfg.Now})}
	var err error
	if cfg.DPoPNonces {
		if p.nonces, err = nonce.New(nonce.Config{Label: cfg.Issuer, Now: cfg.Now}); err != nil {
			return nil, err
		}
	}
	p.verifier, err = dpop.New(dpop.Config{URL: cfg.Issuer + pathToken, Nonces: p.nonces, Issuance: true, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// checkProof judges the DPoP proof of a token request, if there is one, and returns the thumbprint of its key. It is called before anything that an
// error would spend. After false the answer is written.
func (s *Server) checkProof(w http.ResponseWriter, r *http.Request) (jkt string, ok bool) {
	fields := r.Header.Values("DPoP")
	refuse := func(code, description string, why error) (string, bool) {
		s.log(Event{Kind: EventTokenRefused, Client: claimedClient(r), Detail: code + ": " + description})
		s.cfg.Logger.Info("request refused", "endpoint", pathToken, "err", why)
		writeError(w, http.StatusBadRequest, code, description)
		return "", false
	}
	switch {
	case len(fields) == 0:
		return "", true
	case len(fields) > 1:
		// RFC 9449, Section 4.3, check 1.
		return refuse(dpop.CodeInvalidProof, "more than one DPoP header field", nil)
	}
	proof, err := s.proofs.verifier.Verify(dpop.Request{Method: r.Method, Proof: fields[0]})
	if err != nil {
		var fault *dpop.Error
		if !errors.As(err, &fault) {
			return refuse(dpop.CodeInvalidProof, "the DPoP proof cannot be used", err)
		}
		if fault.Code == dpop.CodeUseNonce {
			s.offerNonce(w)
		}
		return refuse(fault.Code, fault.Description(), err)
	}
	if err := s.proofs.seen.Add(proof.Key.Sum(), proof.ID, proof.Until); err != nil {
		if errors.Is(err, replay.ErrSeen) {
			return refuse(dpop.CodeInvalidProof, "the DPoP proof was used before", err)
		}
		// Too many to remember: an honest client may try again.
		w.Header().Set("Retry-After", "30")
		writeError(w, http.StatusServiceUnavailable, "temporarily_unavailable", "too many DPoP proofs at the moment")
		return "", false
	}
	if proof.Renew {
		s.offerNonce(w)
	}
	return proof.Key.Thumbprint(), true
}

func (s *Server) offerNonce(w http.ResponseWriter) {
	if current := s.proofs.nonces.Current(); current != "" {
		w.Header().Set("DPoP-Nonce", current)
	}
}

// thumbprintForm is the form of dpop_jkt (RFC 9449, Section 10).
func thumbprintForm(jkt string) bool {
	return len(jkt) == 43 && strings.Trim(jkt, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// claimedClient is who a direct request says it comes from; nothing proves it.
func claimedClient(r *http.Request) string {
	if id := r.PostForm.Get("client_id"); id != "" {
		return id
	}
	if id, _, ok := r.BasicAuth(); ok {
		return id
	}
	return assertionIssuer(r.PostForm.Get("client_assertion"))
}
