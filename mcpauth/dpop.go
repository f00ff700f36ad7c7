package mcpauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/dpop"
	"github.com/go-mcpauth/sdk/internal/nonce"
	"github.com/go-mcpauth/sdk/internal/replay"
)

// DPoP configures proof of possession (RFC 9449): access tokens that are bound to a key of the client,
// and that nobody else can use. The zero value accepts them beside plain bearer tokens.
//
// A token that is bound to a key is never accepted without a proof by that key, in any mode, and a token
// that is not bound never under the scheme DPoP (RFC 9449, Sections 7.1 and 7.2). Each proof is good for
// one request. GET and DELETE need one of their own; a stream, once open, needs no further ones.
type DPoP struct {
	// Mode says which schemes are accepted. Zero: DPoPOptional.
	Mode DPoPMode

	// Algorithms are the accepted signature algorithms of proofs, in the order in which they are
	// published. Nil: ES256, ES384, PS256, RS256 and EdDSA. "none" and the HS algorithms cannot be
	// enabled.
	Algorithms []string

	// Window is how far the iat of a proof may lie from this server's clock, before or after. Nothing is
	// added to it (RFC 9449, Section 11.1). Proofs are remembered for as long as it lets them be used, so
	// a longer one costs memory. With Nonces, the time of the nonce counts instead of iat. Zero: 5 min, which
	// the MCP profile asks for; else 2 s to 1 h.
	Window time.Duration

	// Nonces has clients put a value of this server's into each proof (RFC 9449, Section 9), which keeps a
	// thief from making proofs for later, and takes the place of iat for clients whose clock is wrong. It
	// costs each client one more round trip at first. A nonce is good for Window: for half of it new, for
	// the other half as the previous one.
	Nonces bool

	// NonceKeys are secrets of at least 32 random bytes each, which all replicas must share. The first
	// makes nonces, all are accepted, so that they can be changed one by one: add the new one last on every
	// replica, then put it first. Nil: a random key, whose nonces end with the process.
	NonceKeys [][]byte

	// Replay remembers which proofs were used. Nil: the memory of this process, for MaxProofs, which ends
	// with it: a proof is then good once more after a restart, for what is left of Window, unless it holds
	// a nonce of a random key. Replicas need a store that they share, or a proof is good once at each.
	Replay ReplayStore

	// MaxProofs bounds the memory of used proofs, at about 24 bytes each. When it is full, requests with a
	// proof are answered 503 rather than let a proof be used twice; while it is more than half full, so are
	// those of a user who fills a sixteenth of it. It goes with a nil Replay only. Zero: 4,194,304.
	MaxProofs int
}

// Format implements [fmt.Formatter]: as usual, but for NonceKeys.
func (d DPoP) Format(f fmt.State, verb rune) {
	type plain DPoP
	d.NonceKeys = nil
	fmt.Fprintf(f, fmt.FormatString(f, verb), plain(d))
}

// DPoPMode says which schemes are accepted. Zero: DPoPOptional.
type DPoPMode uint8

// The modes, which are about access tokens: credentials of Config.Authenticators are accepted in all of them.
// Challenges offer, and the metadata publishes, what the mode says. Under DPoPRequired, clients
// that read Bearer challenges alone, the Go SDK's among them, learn of scopes from the metadata only, and
// cannot step up.
const (
	DPoPOptional DPoPMode = iota // bound tokens with their proof, and plain bearer tokens
	DPoPRequired                 // bound tokens only
	DPoPOff                      // plain bearer tokens only; bound ones are refused
)

// String returns "optional", "required" or "off".
func (mode DPoPMode) String() string {
	switch mode {
	case DPoPOptional:
		return "optional"
	case DPoPRequired:
		return "required"
	case DPoPOff:
		return "off"
	}
	return fmt.Sprintf("DPoPMode(%d)", uint8(mode))
}

// A ProofID tells one DPoP proof from all others. Two proofs of different keys may have the same jti, so
// both members count. It is comparable, and so can be the key of a map.
type ProofID struct {
	Thumbprint [sha256.Size]byte // of the key that made it (RFC 7638)
	JTI        [sha256.Size]byte // the SHA-256 of its jti
}

// A ReplayStore remembers which DPoP proofs were used (RFC 9449, Section 11.1). It must be safe for
// concurrent use.
type ReplayStore interface {
	// Add records a proof and reports whether it is new: of any number of calls with the same proof, at any
	// number of replicas, exactly one is told so. The proof must be remembered until the given time. By then no
	// replica accepts it any more, even if this call takes as long as it may and their clocks differ by 10 s.
	//
	// A store that cannot tell, because it is full, or out of reach, or ctx has ended, must return an error: the
	// request is answered 503. ctx ends after 5 s.
	Add(ctx context.Context, proof ProofID, until time.Time) (added bool, err error)
}

const (
	minWindow     = 2 * time.Second
	maxWindow     = time.Hour
	replayTimeout = 5 * time.Second
	replaySkew    = 10 * time.Second
	maxProofKey   = 3 << 10 // what a remembered token sets aside for the key of its proofs, in bytes
	minProofs     = 1 << 10
	maxProofs     = 1 << 28
)

// addDPoP reads Config.DPoP.
func (m *Middleware) addDPoP(cfg Config, errs *mistakes) {
	in := cfg.DPoP
	switch in.Mode {
	case DPoPOptional:
		m.schemes = bearerScheme | dpopScheme
	case DPoPRequired:
		m.schemes = dpopScheme
	case DPoPOff:
		m.schemes = bearerScheme
		if in.Algorithms != nil || in.Window != 0 || in.Nonces || in.NonceKeys != nil || in.Replay != nil || in.MaxProofs != 0 {
			errs.add("DPoP.Mode", "is DPoPOff, so leave the other members of DPoP out")
		}
		return
	default:
		errs.add("DPoP.Mode", "%d is no mode; write DPoPOptional, DPoPRequired or DPoPOff", in.Mode)
		return
	}
	if in.Window != 0 && (in.Window < minWindow || in.Window > maxWindow) {
		errs.add("DPoP.Window", "%v is not between %v and %v; leave it 0 for 5 min", in.Window, minWindow, maxWindow)
		in.Window = 0
	}
	if in.MaxProofs != 0 && (in.MaxProofs < minProofs || in.MaxProofs > maxProofs) {
		errs.add("DPoP.MaxProofs", "%d is not between %d and %d; leave it 0 for 4,194,304", in.MaxProofs, minProofs, maxProofs)
		in.MaxProofs = 0
	}
	switch {
	case in.Replay == nil:
		m.proofsSeen = replay.New(replay.Config{Capacity: in.MaxProofs, Now: m.now})
	case in.MaxProofs != 0:
		errs.add("DPoP.MaxProofs", "bounds the memory of this process; leave it out beside Replay")
	default:
		m.replay = in.Replay
	}
	var nonces *nonce.Source
	switch {
	case in.Nonces:
		period := (in.Window / 2).Truncate(time.Second)
		var err error
		if nonces, err = nonce.New(nonce.Config{Keys: in.NonceKeys, Label: cfg.Resource, Period: period, Now: m.now}); err != nil {
			errs.add("DPoP.NonceKeys", "%w", err)
		}
		m.nonces = nonces
	case len(in.NonceKeys) > 0: // without Nonces
		errs.add("DPoP.NonceKeys", "are of no use without Nonces; set that, too")
	}
	if in.Nonces && len(in.NonceKeys) == 0 && in.Replay != nil {
		m.warnings = append(m.warnings, "DPoP.NonceKeys: is nil, and Replay looks as if there were replicas: each would refuse the nonces of the others; set keys that all share")
	}
	if len(in.NonceKeys) > 0 && in.Replay == nil {
		m.warnings = append(m.warnings, "DPoP.NonceKeys: replicas share them, but Replay is nil, so each replica, and each restart, takes a used proof for new; set Replay")
	}
	proofs, err := dpop.New(dpop.Config{URL: cfg.Resource, Algorithms: in.Algorithms, Window: in.Window, Nonces: nonces, Now: m.now})
	if err != nil {
		errs.add("DPoP", "%w", err)
		return
	}
	m.proofs, m.algs = proofs, strings.Join(proofs.Algorithms(), " ")
}

// possession makes sure that whoever sends a bound token is the one to whom it was issued. The proof
// that it returns has yet to be recorded.
func (m *Middleware) possession(out http.Header, r *http.Request, used schemes, t *accessToken, hash [sha256.Size]byte) (dpop.Proof, *refusal) {
	var proof dpop.Proof
	switch {
	case used == bearerScheme && t.binding.key != "":
		// RFC 9449, Section 7.2, with a proof or without. Both lines say so: the scheme was wrong, and the
		// token is no good under it (CH-20).
		return proof, &refusal{m.invalidToken(bearerScheme|dpopScheme, "The access token is bound to a key and needs the scheme DPoP with its proof"),
			explanation{reason: ReasonDPoPDowngrade, expected: "the scheme DPoP, since the token has cnf.jkt", got: "Bearer"}}
	case used == dpopScheme && t.binding.key == "":
		return proof, &refusal{m.invalidToken(used, "The access token is not bound to a key"), // RFC 9449, Section 7.1
			explanation{reason: ReasonNotBound, expected: "a token with cnf.jkt under the scheme DPoP", got: "one without"}}
	case used == dpopScheme:
		fields := r.Header["Dpop"]
		if len(fields) != 1 {
			return proof, m.badProof(out, &dpop.Error{Code: codeInvalidProof, Reason: dpop.ReasonCount, Expected: "exactly one DPoP field",
				Got: countOf(len(fields))})
		}
		known := t.proofKey.Load()
		var err error
		proof, err = m.proofs.Verify(dpop.Request{Method: r.Method, Proof: fields[0], TokenHash: hash, Thumbprint: t.binding.key, Known: known})
		if err != nil {
			var bad *dpop.Error
			if !errors.As(err, &bad) {
				bad = &dpop.Error{Code: codeInvalidProof, Reason: dpop.ReasonMalformed, Err: err}
			}
			return proof, m.badProof(out, bad)
		}
		if proof.Key != known && proof.Key.Size() <= maxProofKey {
			t.proofKey.Store(proof.Key)
		}
		if proof.Renew {
			m.handOutNonce(out)
			// RFC 9449, Section 8.2. A field of its own: the handler sets Cache-Control, too, and a recipient
			// adds up the two (RFC 9110, Section 5.2).
			out["cache-control"] = noStore
		}
	}
	if t.binding.certificate != "" {
		if refused := m.certificate(r, used, t); refused != nil {
			return proof, refused
		}
	}
	return proof, nil
}

func countOf(fields int) string {
	if fields == 0 {
		return "none"
	}
	return "several"
}

// badProof is W4, or W5 where nothing but the nonce is amiss.
func (m *Middleware) badProof(out http.Header, e *dpop.Error) *refusal {
	why := explanation{reason: Reason(e.Reason), expected: e.Expected, got: e.Got, cure: e.Cure, err: e.Err}
	show := m.schemes
	switch e.Code {
	case codeInvalidToken: // a proof by another key (RFC 9449, Section 7.1)
		return &refusal{m.invalidToken(dpopScheme, e.Description()), why}
	case codeUseNonce:
		// The token is bound, so Bearer is no way out, and clients that look at the first challenge only
		// must find this one.
		show = dpopScheme
	}
	m.handOutNonce(out)
	return &refusal{answer{
		status: http.StatusUnauthorized, code: e.Code, metadata: m.metadataURL,
		challenges: m.challenges(show, dpopScheme, e.Code, e.Description(), nil, m.names),
	}, why}
}

// record asks the store in use. Ours keeps one user from filling it; keys would not tell users apart, since
// anyone can make as many as he likes.
func (m *Middleware) record(ctx context.Context, t *accessToken, id ProofID, until time.Time) (added bool, err error) {
	if m.replay == nil {
		var both [2 * sha256.Size]byte
		copy(both[:], id.Thumbprint[:])
		copy(both[sha256.Size:], id.JTI[:])
		err := m.proofsSeen.Add(t.owner, sha256.Sum256(both[:]), until)
		if errors.Is(err, replay.ErrSeen) {
			return false, nil
		}
		return err == nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	// Between the check of the proof and the answer of the store time passes, and elsewhere it is later: the
	// store must not forget before the last replica would refuse.
	added, err = m.replay.Add(ctx, id, until.Add(replayTimeout+replaySkew))
	if err == nil {
		err = ctx.Err() // an answer that comes too late is none, whatever the store thinks of its context
	}
	return added && err == nil, err
}

// handOutNonce tells the client what to put into its next proof.
func (m *Middleware) handOutNonce(out http.Header) {
	if m.nonces != nil && out != nil {
		out["Dpop-Nonce"] = []string{m.nonces.Current()}
	}
}

// firstUse records a proof, and refuses where it has been recorded before or nobody can tell.
func (m *Middleware) firstUse(ctx context.Context, t *accessToken, proof dpop.Proof) *refusal {
	if m.now().After(proof.Until) {
		// Its time ran out while others were asked, and the store need not remember it any more.
		return m.badProof(nil, &dpop.Error{Code: codeInvalidProof, Reason: dpop.ReasonTime, Expected: "a proof that is not too old", Got: "one whose time is up"})
	}
	added, err := m.record(ctx, t, ProofID{Thumbprint: proof.Key.Sum(), JTI: proof.ID}, proof.Until)
	switch {
	case err != nil:
		return &refusal{unavailable(0), explanation{reason: ReasonReplayStore, expected: "an answer from the replay store", got: "an error", err: err,
			cure: "if it is full, raise DPoP.MaxProofs, shorten DPoP.Window, or find the client that floods it"}}
	case !added:
		return &refusal{answer{
			status: http.StatusUnauthorized, code: codeInvalidProof, metadata: m.metadataURL,
			challenges: m.challenges(m.schemes, dpopScheme, codeInvalidProof, "The proof was used before", nil, m.names),
		}, explanation{reason: ReasonProofReplayed, expected: "a new proof", got: "one that was used before"}}
	}
	return nil
}
