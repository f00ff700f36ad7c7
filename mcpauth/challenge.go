package mcpauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/authheader"
	"github.com/go-mcpauth/sdk/scopes"
)

// An answer is a refusal on its way to the client. Everything in it is a registered code, a constant
// text, or reduced to the characters that its place allows.
type answer struct {
	status     int
	challenges []string // WWW-Authenticate, a line each; nil: a bare answer
	code       string   // registered error, as in the challenge
	scope      string   // as in the challenge
	metadata   string   // as in the challenge
	allow      string   // of a 405
	retryAfter time.Duration

	rpc *rpcError // instead of the error that follows from status
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// challenges returns the WWW-Authenticate lines of the schemes to show, of which those to blame carry the
// error and the scopes needed (RFC 9449, Section 7.2). A scheme that is not accepted is never offered;
// when it is to blame, what is accepted carries the error instead.
func (m *Middleware) challenges(show, blame schemes, code, description string, needed []string, names *scopes.Mapping) []string {
	return m.challengesWith(show, blame, authheader.Challenge{Error: code, ErrorDescription: description}, needed, names)
}

// challengesWith is challenges with whatever else an error says.
func (m *Middleware) challengesWith(show, blame schemes, with authheader.Challenge, needed []string, names *scopes.Mapping) []string {
	code := with.Error
	if show &= m.schemes; show == 0 {
		show = m.schemes
	}
	if blame &= show; blame == 0 {
		blame = show
	}
	lines := make([]string, 0, 2)
	for _, one := range [...]schemes{bearerScheme, dpopScheme} { // Bearer first: some clients look at one line only (CH-17)
		if show&one == 0 {
			continue
		}
		c := authheader.Challenge{Scheme: one.String(), Realm: m.realm, Algs: m.algs, ResourceMetadata: m.metadataURL, Scope: m.prefixed}
		if blame&one != 0 {
			c.Error, c.ErrorDescription, c.ACRValues, c.MaxAge = code, with.ErrorDescription, with.ACRValues, with.MaxAge
			c.Scope = strings.Join(names.Challenge(needed), " ")
		}
		lines = append(lines, c.String())
	}
	if code != codeInsufficientScope && code != codeInsufficientLogin && code != codeUseNonce { // no other credentials are better there
		lines = append(lines, m.otherChallenges...)
	}
	// Requests share some of them: who adds to the header of one answer must not do so in what they share.
	return slices.Clip(lines)
}

// unauthorized is W1: no credentials, so no error either (RFC 6750, Section 3.1).
func (m *Middleware) unauthorized() answer {
	return answer{status: http.StatusUnauthorized, challenges: m.plain, scope: m.prefixed, metadata: m.metadataURL}
}

// invalidToken is W2, on the line of the scheme that was used. The scope is the baseline, whatever was
// asked for: who has no good token learns nothing about single tools.
func (m *Middleware) invalidToken(used schemes, description string) answer {
	return answer{
		status: http.StatusUnauthorized, code: codeInvalidToken, scope: m.prefixed, metadata: m.metadataURL,
		challenges: m.challenges(m.schemes, used, codeInvalidToken, description, m.base, m.names),
	}
}

// invalidRequest is W6: 400 is only for credentials that two readers could take differently.
func (m *Middleware) invalidRequest(description string) answer {
	return answer{
		status: http.StatusBadRequest, code: codeInvalidRequest, metadata: m.metadataURL,
		challenges: m.challenges(m.schemes, m.schemes, codeInvalidRequest, description, nil, m.names),
	}
}

// unavailable tells clients to keep their token and come back.
func unavailable(after time.Duration) answer {
	return answer{status: http.StatusServiceUnavailable, retryAfter: max(after, time.Second)}
}

// refused is the answer for an Error: W3 where it has a code, bare where no token would help.
func (m *Middleware) refused(e *Error, p *Principal, revision string) answer {
	a := answer{status: e.Status, code: e.Code, metadata: m.metadataURL}
	switch {
	case e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests:
		a.retryAfter = min(max(e.RetryAfter, time.Second), maxWait)
		a.code = ""
		return a
	case e.Status == http.StatusUnauthorized && a.code == "":
		a.code = codeInvalidToken // RFC 9110, Section 15.5.2: a 401 has a challenge
	case a.code == "":
		return a
	}
	needed := e.Scopes
	if e.Code == codeInsufficientScope || e.Code == codeInsufficientLogin {
		needed = m.stepUpScopes(e.Scopes, p, revision)
	}
	if p.fields().fixed && e.Status == http.StatusForbidden {
		a.code = "" // CH-23: nobody can add to what these credentials grant
		return a
	}
	names := m.names
	if p != nil && p.mapping != nil {
		names = p.mapping
	}
	a.scope = strings.Join(names.Challenge(needed), " ")
	// MCP knows Bearer only here, RFC 9449 asks for the scheme that was used.
	lines := bearerScheme
	if p.Scheme() == "DPoP" {
		lines = bearerScheme | dpopScheme
	}
	with := authheader.Challenge{Error: a.code, ErrorDescription: e.Description}
	with.ACRValues, with.MaxAge = e.Login.parameters()
	a.challenges = m.challengesWith(lines, lines, with, needed, names)
	return a
}

// stepUpScopes adds, for revisions whose clients ask for exactly the scopes named, those that the
// token holds and this server knows (MCP 2025-11-25, Runtime Insufficient Scope Errors): that rules
// name, or that stand for one which a rule names. The order is fixed: base scopes, then the rule's,
// then the granted ones.
func (m *Middleware) stepUpScopes(needed []string, p *Principal, revision string) []string {
	var out []string
	for _, s := range m.base {
		if slices.Contains(needed, s) {
			out = append(out, s)
		}
	}
	out = dedupe(append(out, needed...))
	if m.stepUp == StepUpWithGranted || m.stepUp == StepUpByRevision && revision < revision20260728 {
		x, held := m.rules.load(), p.Grant()
		counts := func(s string) bool {
			_, known := x.known[s]
			return known && held.HasScope(s)
		}
		presented := held.Whole().Presented() // a limit may leave room only for what a scope stands for
		wide := len(held.Whole().Scopes()) > len(presented)
		for _, s := range presented {
			if !slices.Contains(out, s) && (counts(s) || wide && slices.ContainsFunc(x.rights.standsFor(p, s), counts)) {
				out = append(out, s)
			}
		}
	}
	return out
}

// unknown is the answer for what has no rule: that of go-sdk for what does not exist, with the status
// that it gives in the caller's revision.
func unknown(op Operation, revision string) answer {
	modern := revision >= revision20260728
	a := answer{status: http.StatusOK, rpc: &rpcError{Code: -32602}}
	kind := targetOf(op)
	if modern && removed[op.Method] {
		kind = methodTarget // it is the method that does not exist
	}
	switch kind {
	case toolTarget:
		a.rpc.Message = "unknown tool " + strconv.Quote(op.Name)
	case promptTarget:
		a.rpc.Message = "unknown prompt " + strconv.Quote(op.Name)
	case resourceTarget:
		a.rpc.Message, a.rpc.Data = "Resource not found", map[string]string{"uri": op.Name}
	default:
		a.rpc.Code, a.rpc.Message = -32601, "JSON RPC not handled: "+strconv.Quote(op.Method)+" unsupported"
		a.status = http.StatusBadRequest
		if modern {
			a.status = http.StatusNotFound
		}
		return a
	}
	if modern {
		a.status = http.StatusBadRequest
	}
	return a
}

// write sends an answer. The body is a JSON-RPC error with the id of the request, since the Go
// client closes its session over anything else; without an id, there is none.
func (a *answer) write(w http.ResponseWriter, r *http.Request, id json.RawMessage) {
	h := w.Header()
	h["X-Content-Type-Options"] = nosniff
	if a.challenges != nil {
		h["Www-Authenticate"] = a.challenges
	}
	if a.status != http.StatusOK {
		h["Cache-Control"] = noStore
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((a.retryAfter+time.Second-1)/time.Second), 10))
	}
	if id == nil || r.Method == http.MethodHead {
		status := a.status
		if status == http.StatusOK {
			status = http.StatusBadRequest // a request without an id has no answer that could carry the error
		}
		w.WriteHeader(status) // net/http adds the Content-Length
		return
	}
	body := a.body(id)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

var (
	nosniff = []string{"nosniff"}
	noStore = []string{"no-store"}
)

func (a *answer) body(id json.RawMessage) []byte {
	e := a.rpc
	if e == nil {
		e = &rpcError{Code: a.status, Message: http.StatusText(a.status)}
		if a.code != "" {
			e.Message += ": " + a.code
		}
		if a.challenges != nil {
			e.Data = challengeData{Error: a.code, Scope: a.scope, ResourceMetadata: a.metadata}
		}
	}
	body, err := json.Marshal(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id,omitempty"`
		Error   *rpcError       `json:"error"`
	}{"2.0", id, e})
	if err != nil {
		return nil // unreachable: id is valid JSON, the rest is strings
	}
	return body
}

type challengeData struct {
	Error            string `json:"error,omitempty"`
	Scope            string `json:"scope,omitempty"`
	ResourceMetadata string `json:"resource_metadata,omitempty"`
}
