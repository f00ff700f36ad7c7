package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// An outcome is what the calls with the token came to. Nil answers were not asked for.
type outcome struct {
	first, list, call *answer
	revision          string
	session           string
	nonce             string
}

// accepted reports whether the server let the token in at all.
func (o outcome) accepted() bool {
	return o.first != nil && o.first.problem == "" && o.first.status != http.StatusUnauthorized && (o.first.ok() || o.first.status == http.StatusForbidden)
}

func (o outcome) refused() bool {
	return o.first != nil && o.first.status == http.StatusUnauthorized
}

// forbidden reports whether the server knows the caller and turns it away, from everything or from the one tool.
func (o outcome) forbidden() (everything, oneTool bool) {
	is := func(a *answer) bool { return a != nil && a.status == http.StatusForbidden }
	return is(o.first) || is(o.list), is(o.call)
}

// present sends a request with the token. It goes to Options.URL, whatever the request says: this is the one place that knows the token.
func (v *visit) present(ctx context.Context, r request) *answer {
	r.url = v.opt.URL
	if r.header == nil {
		r.header = http.Header{}
	}
	if v.outcome.session != "" {
		r.header.Set("Mcp-Session-Id", v.outcome.session)
	}
	for attempt := 0; ; attempt++ {
		r.header.Set("Authorization", "Bearer "+v.opt.Token)
		if v.opt.DPoPKey != nil {
			proof := v.opt.DPoPKey.NewProof(r.method, v.opt.URL, v.opt.Token, v.outcome.nonce)
			proof.Claims["iat"] = v.opt.Now().Unix()
			signed := v.opt.DPoPKey.Sign(proof)
			v.hide(signed)
			r.header.Set("Authorization", "DPoP "+v.opt.Token)
			r.header.Set("Dpop", signed)
		}
		a := v.exchange(ctx, r)
		fresh := a.header.Get("Dpop-Nonce")
		if fresh == "" || len(fresh) > maxSecret || fresh == v.outcome.nonce || v.opt.DPoPKey == nil {
			return a
		}
		v.outcome.nonce = fresh
		c, _ := readField(a.header.Values(wwwAuthenticate)).of("dpop")
		if attempt > 0 || a.status != http.StatusUnauthorized || c.params["error"] != "use_dpop_nonce" {
			return a
		}
	}
}

// A message is a JSON-RPC answer, as far as it is looked at.
type message struct {
	ID     json.RawMessage `json:"id"`
	Result *struct {
		Tools           []json.RawMessage `json:"tools"`
		NextCursor      string            `json:"nextCursor"`
		ProtocolVersion string            `json:"protocolVersion"`
		IsError         bool              `json:"isError"`
	} `json:"result"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func parseMessage(body []byte) (m message, ok bool) {
	err := json.Unmarshal(body, &m)
	return m, err == nil && (m.Result != nil || m.Error != nil)
}

func isAnswer(body []byte) bool {
	_, ok := parseMessage(body)
	return ok
}

// tryToken makes the calls: initialize, or server/discover where that is refused for its revision; tools/list; and one tool if asked to.
func (v *visit) tryToken(ctx context.Context) {
	o := &v.outcome
	o.revision = legacy
	o.first = v.present(ctx, request{method: http.MethodPost, header: mcpHeader(legacy), body: []byte(initializeBody), until: isAnswer})
	if m, ok := parseMessage(o.first.body); o.first.status == http.StatusBadRequest || o.first.status == http.StatusNotFound || ok && m.Error != nil && o.first.ok() {
		o.revision = modern
		o.first = v.present(ctx, request{method: http.MethodPost, header: modernHeader("server/discover", ""), body: []byte(discoverBody), until: isAnswer})
	}
	if !o.first.ok() {
		return
	}
	if id := o.first.header.Get("Mcp-Session-Id"); id != "" && len(id) <= maxSecret {
		o.session = id
		defer v.present(context.WithoutCancel(ctx), request{method: http.MethodDelete, header: http.Header{"Mcp-Protocol-Version": {legacy}}})
	}
	if o.revision == legacy {
		if m, ok := parseMessage(o.first.body); ok && m.Result != nil && m.Result.ProtocolVersion != "" && len(m.Result.ProtocolVersion) <= 32 {
			o.revision = m.Result.ProtocolVersion // an older server says which one it speaks
		}
		v.present(ctx, request{method: http.MethodPost, header: mcpHeader(o.revision), body: []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)})
	}
	o.list = v.rpc(ctx, "tools/list", "", map[string]any{})
	if v.opt.Call != "" {
		arguments := v.opt.Arguments
		if len(arguments) == 0 {
			arguments = json.RawMessage("{}")
		}
		o.call = v.rpc(ctx, "tools/call", v.opt.Call, map[string]any{"name": v.opt.Call, "arguments": arguments})
	}
}

func (v *visit) rpc(ctx context.Context, method, name string, params map[string]any) *answer {
	h := mcpHeader(v.outcome.revision)
	if v.outcome.revision == modern {
		h = modernHeader(method, name)
		var meta map[string]any
		if json.Unmarshal([]byte("{"+metaMembers+"}"), &meta) == nil {
			params["_meta"] = meta["_meta"]
		}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 2, "method": method, "params": params})
	if err != nil {
		return &answer{header: http.Header{}, problem: "not asked: the arguments are no JSON", kind: "arguments"}
	}
	return v.present(ctx, request{method: http.MethodPost, header: h, body: body, until: isAnswer})
}

// judgeToken compares the token with everything that was learned, the server's own verdict included.
func (v *visit) judgeToken(ctx context.Context) {
	switch {
	case v.token == nil:
		v.skip("no token was given")
		return
	case v.dead:
		v.skip("the server cannot be reached, or not safely; the token was not sent")
		return
	}
	v.tryToken(ctx)
	for _, f := range v.token.compare(v.published(), &v.censor) {
		v.add(v.weigh(f))
	}
}

func (v *visit) published() published {
	p := published{resource: v.resource(), now: v.opt.Now()}
	if v.opt.DPoPKey != nil {
		p.thumbprint = v.opt.DPoPKey.Thumbprint()
	}
	if v.document != nil {
		p.issuers, p.scopes, p.scopesFrom = v.document.AuthorizationServers, v.document.ScopesSupported, "scopes_supported"
		p.dpopRequired = v.document.DPoPBoundAccessTokensRequired != nil && *v.document.DPoPBoundAccessTokensRequired
	}
	if list := scopesOf(v.challenge.param("scope")); len(list) > 0 {
		p.scopes, p.scopesFrom = list, "the challenge"
	}
	for _, a := range []*answer{v.outcome.first, v.outcome.list, v.outcome.call} {
		if a != nil && a.status == http.StatusForbidden {
			if list := scopesOf(readField(a.header.Values(wwwAuthenticate)).param("scope")); len(list) > 0 {
				p.scopes, p.scopesFrom = list, "the 403"
			}
		}
	}
	iss := text(v.token.claims, "iss")
	p.keysKnown = len(v.servers) > 0
	for _, s := range v.servers {
		p.keysKnown = p.keysKnown && s.keys.fetched
		if iss == s.issuer || iss == s.text("issuer") || len(v.servers) == 1 {
			p.keys = append(p.keys, s.keys.usable...)
		}
	}
	return p
}

// asserted are findings that no server may pass over.
var asserted = map[string]bool{
	"token-format/unsigned": true, "token-lifetime/expired": true, "token-signature/bad": true, "token-binding/other-key": true, "token-binding/bound": true,
}

// weigh changes a verdict by what the server made of the token: what is suspicious explains a refusal, and what was accepted cannot
// be the reason for one.
func (v *visit) weigh(f Finding) Finding {
	o := v.outcome
	everything, oneTool := o.forbidden()
	stepUp := !everything && (f.Cause == "lacks" || f.Cause == "none") // asking for more is no failure
	switch {
	case f.Status != Warn && f.Status != Fail:
	case f.Symptom == Refused && o.refused():
		f.Status = Fail
	case f.Symptom == Refused && o.accepted() && asserted[f.ID()]:
		f.Status, f.Symptom, f.Got = Fail, "", f.Got+"; the server accepted the token for all that"
		f.Cure = "the server must refuse such a token: see what it verifies"
	case f.Symptom == Refused && o.accepted():
		f.Status, f.Symptom, f.Got = Warn, "", f.Got+"; the server accepted the token"
		f.Cure = "see that the server is meant to accept this; another one may not: " + f.Cure
	case f.Symptom == Forbidden && stepUp && o.accepted() && !v.noTools():
		f.Symptom = ""
	case f.Symptom == Forbidden && (everything || oneTool):
		f.Status = Fail
	case f.Symptom == Forbidden && v.noTools():
		f.Status, f.Symptom = Fail, NoTools
	}
	return f
}

// noTools reports whether the list of tools is there and empty.
func (v *visit) noTools() bool {
	a := v.outcome.list
	if a == nil || !a.ok() {
		return false
	}
	m, ok := parseMessage(a.body)
	return ok && m.Result != nil && len(m.Result.Tools) == 0 && m.Result.NextCursor == ""
}

// judgeCalls says what the calls with the token came to, and names the likeliest cause.
func (v *visit) judgeCalls(context.Context) {
	if v.outcome.first == nil {
		v.skip("no token was sent")
		return
	}
	name := "initialize"
	if v.outcome.revision == modern {
		name = "server/discover"
	}
	v.judgeCall(name, v.outcome.first)
	if v.outcome.list != nil {
		v.judgeCall("tools/list", v.outcome.list)
	}
	if v.outcome.call != nil {
		v.judgeCall("tools/call", v.outcome.call)
	}
}

func (v *visit) judgeCall(name string, a *answer) {
	f := Finding{Step: "call-" + strings.ReplaceAll(name, "/", "-"), Title: name + " with the token", Status: Fail, Got: fmt.Sprintf("%s: %d %s", name, a.status, http.StatusText(a.status))}
	m, ok := parseMessage(a.body)
	switch {
	case a.problem != "":
		f.Cause, f.Got, f.Cure = a.kind, name+": "+a.problem, cureTransport(a.kind)
	case a.status == http.StatusUnauthorized:
		f.Cause, f.Symptom, f.Clause = "refused", Refused, "RFC 6750, Section 3.1"
		r := readField(a.header.Values(wwwAuthenticate))
		said := r.refusal()
		if said.scheme != "" {
			f.Got += ", " + said.scheme + " error=" + v.quote(said.params["error"]) + " " + v.quote(said.params["error_description"])
		}
		f.Cure = v.likeliest(Refused, "")
		if f.Cure == "" {
			f.Cause, f.Cure = unexplained(r, said)
		}
	case a.status == http.StatusForbidden:
		v.judgeForbidden(&f, name, a)
	case a.redirect():
		f.Cause, f.Got, f.Cure = "redirect", f.Got+" to "+v.quote(shownURL(a.location(v.opt.URL))), "serve the endpoint at this URL; the token was not sent on, and clients drop it, too"
	case a.status == http.StatusTooManyRequests:
		f.Cause, f.Cure = "limited", "wait for as long as Retry-After says, and try again"
	case a.status == http.StatusServiceUnavailable:
		f.Cause, f.Cure = "unavailable", v.unavailableCure()
	case a.status == http.StatusUnsupportedMediaType:
		f.Cause, f.Cure = "no-answer", "the server saw no plain JSON, and JSON was sent: see which proxy or gateway in front removes or changes Content-Type, or adds Content-Encoding"
	case !a.ok() || !ok:
		f.Cause, f.Cure = "no-answer", "the token was let in; see what the MCP server behind the check makes of this request"
	case m.Error != nil:
		f.Status, f.Cause = Warn, "error"
		f.Got += fmt.Sprintf(", JSON-RPC error %d %s", m.Error.Code, v.quote(m.Error.Message))
		f.Cure = "the token was let in; see what the MCP server says about this request; a tool that has no rule, or that this caller may not see, is answered like an unknown one"
	case name == "tools/list" && v.noTools():
		f.Cause, f.Symptom, f.Got = "no-tools", NoTools, f.Got+", no tools"
		f.Cure = v.likeliest(NoTools, v.emptyListCure())
	case name == "tools/list":
		f.Status, f.Got = Pass, fmt.Sprintf("%s, %d tools", f.Got, len(m.Result.Tools))
	case name == "tools/call" && m.Result.IsError:
		f.Status, f.Cause, f.Got, f.Cure = Warn, "tool-error", f.Got+", the tool reports an error", "the call was let in; see the tool's arguments"
	default:
		f.Status = Pass
	}
	v.add(f)
}

// unexplained is about a 401 to a token in which nothing is wrong: what the answer itself gives away. The words of a description are the
// server's own, so they choose a cure and nothing else.
func unexplained(r reading, said challenge) (cause, cure string) {
	words := strings.ToLower(said.params["error_description"])
	for _, about := range []string{"expired", "not yet valid", "not valid yet", "in the future"} {
		if strings.Contains(words, about) {
			return "clock", "the server finds the token expired or too early, and by the clock of this computer it is neither: synchronize the server's clock (NTP), even if the step clock passed, which sees the Date of a proxy in front"
		}
	}
	if said.scheme == "" && len(r.lines) > 0 {
		return "no-token-seen", "the server answers as if no token had come: see whether a proxy or gateway in front removes Authorization. If it comes, the server's log says what is wrong with it"
	}
	return "refused", "nothing in the token explains it: read the line of the server's log about this refusal; in this library it says what was expected and what came"
}

func (v *visit) unavailableCure() string {
	cure := "the reason is in the server's log: keys or an introspection endpoint that it does not reach, a store or a hook that fails; in this library also an MCP server that was not given to Protect"
	if v.published().keysKnown {
		cure += ". This computer reaches the published keys, so if it is the keys, look at the server's own way there (Issuer.JWKSURI, proxy, firewall)"
	}
	return cure
}

func (v *visit) emptyListCure() string {
	const cure = "the list shows only what the caller may reach: "
	if !v.token.jwt {
		return cure + "see which scopes and roles the server finds for this token, and which rules its tools have"
	}
	have, _ := v.token.scopes()
	return cure + "the token has scopes " + v.list(have) + " and " + v.token.holdings(&v.censor) +
		"; give the user the role that the tools need, or have the server read roles from the right claim (Mapper.RoleClaims), and see that every tool has a rule"
}

// judgeForbidden is about a 403 to a token that is good.
func (v *visit) judgeForbidden(f *Finding, name string, a *answer) {
	r := readField(a.header.Values(wwwAuthenticate))
	wanted := scopesOf(r.param("scope"))
	have, _ := v.token.scopes()
	missing := slices.DeleteFunc(slices.Clone(wanted), func(s string) bool { return slices.Contains(have, s) })
	f.Symptom, f.Clause = Forbidden, "RFC 6750, Section 3.1; MCP, Runtime Insufficient Scope Errors"
	if len(wanted) > 0 {
		f.Got += ", wants " + v.list(wanted)
	}
	switch {
	case len(r.lines) == 0 && v.failed("connect/403-instead-of-401"):
		f.Cause = "bare"
		f.Cure = "connect/403-instead-of-401: the same answer comes without a token, so it is not about the token; repair that first"
	case len(r.lines) == 0:
		f.Cause = "bare"
		f.Cure = v.likeliest(Forbidden, "a 403 without a challenge: no scope can cure it. It is a role, a policy or another session, and the server's log says which; the token has "+v.token.holdings(&v.censor)+". A role has to be given to the user at the authorization server, or read from the claim that has it (Mapper.RoleClaims)")
		if name == "tools/call" {
			f.Symptom = "" // the others may go through
		}
	case r.param("error") != "insufficient_scope":
		f.Cause = "no-insufficient-scope"
		f.Clients = who(func(c client) bool { return c.stepsUp })
		f.Cure = "add error=\"insufficient_scope\" and every scope that the operation needs to the challenge: clients ask for more only then"
	case v.token.jwt && len(wanted) > 0 && len(missing) == 0:
		f.Cause = "scopes-not-found"
		f.Cure = "the token has every scope that is asked for, and the server does not find them: have it read the claim that has them (scope, scp, as a string or an array; Mapper.ScopeClaims), and mind a prefix"
	case prefixed(missing, have) != "":
		f.Cause = "scope-prefix"
		f.Cure = v.likeliest(Forbidden, "the scope is spelled with a prefix on one side only")
	case name == "tools/call":
		f.Status, f.Cause, f.Symptom = Warn, "step-up", ""
		f.Clients = who(func(c client) bool { return !c.stepsUp })
		f.Cure = "this is how a server asks for more; clients that do not step up need these scopes at the first login (Config.BaseScopes, or the client's own setting)"
	default:
		f.Cause = "scopes"
		f.Cure = "every call needs these scopes: name them in the first challenge, so that clients ask for them, and grant them to user and client at the authorization server"
	}
}

// failed reports whether a failure with this ID was found.
func (v *visit) failed(id string) bool {
	return slices.ContainsFunc(v.report.Findings, func(f Finding) bool { return f.Status == Fail && f.ID() == id })
}

// likeliest is the cure of the first failure of the token that has this symptom.
func (v *visit) likeliest(s Symptom, otherwise string) string {
	for _, f := range v.report.Findings {
		if f.Status == Fail && f.Symptom == s && strings.HasPrefix(f.Step, "token-") {
			return f.ID() + ": " + f.Cure
		}
	}
	return otherwise
}
