package mcpauth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reportStart says at the first request, when the rules have been declared, what is protected and what in the Config looks
// wrong.
func (m *Middleware) reportStart() {
	if m.startReported.Load() {
		return
	}
	m.startOnce.Do(func() {
		defer m.startReported.Store(true)
		issuers := make([]string, len(m.issuers))
		for i, in := range m.issuers {
			issuers[i] = in.url
		}
		m.rules.mu.Lock()
		rules := slog.GroupValue(
			slog.Int("tools", len(m.rules.all(toolTarget))), slog.Int("prompts", len(m.rules.all(promptTarget))),
			slog.Int("resources", len(m.rules.all(resourceTarget))), slog.Int("methods", len(m.rules.all(methodTarget))),
		)
		attrs := []any{"resource", m.resource, "metadata", m.metadataURL, "issuers", issuers, "base_scopes", m.base,
			"listing", m.listing.String(), "rules", rules}
		if file := m.rules.file; file != nil {
			attrs = append(attrs, "policy_sha256", file.sum)
		}
		m.rules.mu.Unlock()
		m.log.Info("mcpauth: protecting a resource", attrs...)
		if !m.published.Load() {
			m.log.Warn("mcpauth: suspicious configuration", "finding",
				"nobody asked for the metadata handler, so clients cannot find the login; use Mount, or mount Metadata at "+m.MetadataPath())
		}
		for _, w := range m.warnings {
			m.log.Warn("mcpauth: suspicious configuration", "finding", w)
		}
	})
}

// reportPanic reports a panic in a check or a hook, by what was thrown.
func (m *Middleware) reportPanic(ctx context.Context, thrown any) {
	defer func() { _ = recover() }() // it may have been the log itself, or OnDecision
	why := explanation{reason: ReasonPanic, expected: "hooks that return", got: "a panic", err: fmt.Errorf("%v", thrown)}
	m.reportRefusal(ctx, nil, pending{}, http.StatusServiceUnavailable, &why, summary{})
}

// reportRefusal reports what is refused without a rule being asked: to the log, which also gets more, and then to OnDecision.
func (m *Middleware) reportRefusal(ctx context.Context, p *Principal, o pending, status int, shared *explanation, s summary, more ...slog.Attr) {
	own := *shared // several requests may share one
	why := &own
	why.withCure()
	m.logRefusal(ctx, p, o.op, status, why, s, more...)
	if m.onDecision == nil {
		return
	}
	m.onDecision(ctx, Decision{
		Time: m.now(), Status: status, Reason: why.reason, Principal: p, Operation: o.op, RequestID: string(o.id), TraceID: s.traceID,
		Granted: p.Grant().Presented(), Expected: why.expected, Got: why.got, Cure: why.cure, Cause: why.cause(),
	})
}

// cause is the error behind a refusal as a log may show it.
func (why *explanation) cause() string {
	if why.err == nil {
		return ""
	}
	return loggable(why.err.Error())
}

// A summary is what is left of an HTTP request, for logs and sessions. The zero value stands for none.
type summary struct{ method, remote, traceID, session string }

func summaryOf(r *http.Request) summary {
	return summary{method: r.Method, remote: r.RemoteAddr, traceID: headerTrace(r.Header), session: first(r.Header, "Mcp-Session-Id")}
}

// refuseRequest reports a request that is refused before or without looking at single operations.
func (m *Middleware) refuseRequest(r *http.Request, req *request, status int, why *explanation) {
	if m.onDecision == nil && !m.log.Enabled(r.Context(), levelOf(why.reason)) {
		return // nobody listens: scanners make this the most frequent path of all
	}
	p := why.caller
	if req != nil {
		p = req.principal
	}
	m.reportRefusal(r.Context(), p, pending{}, status, why, summaryOf(r), m.clientAddress(r)...)
}

// clientAddress is the address for which a proxy of Limits.Proxies vouches. Behind one, the peer is the same for all, and
// nobody could tell from the log who sends bad credentials. It is empty where it is the peer's. Where there is none it says
// why, since Limits.Failures limits nobody then.
func (m *Middleware) clientAddress(r *http.Request) []slog.Attr {
	if m.limits == nil || len(m.limits.proxies.Trusted) == 0 {
		return nil
	}
	client, err := m.limits.proxies.Client(r.RemoteAddr, r.Header)
	if err != nil {
		return []slog.Attr{slog.String("client_address_unknown", loggable(err.Error()))}
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && peer.Addr().Unmap() == client {
		return nil
	}
	return []slog.Attr{slog.String("client_address", loggable(client.String()))}
}

// reportOperation reports the decision about one operation. e is nil where it is allowed; in a batch
// with a refusal, nothing runs all the same.
func (m *Middleware) reportOperation(ctx context.Context, s summary, p *Principal, o pending, v verdict, e *Error, stopped bool) {
	if e == nil && !stopped && m.onDecision == nil {
		return
	}
	if id := traceID(o.trace); id != "" {
		s.traceID = id // of the caller, where the header may be that of a proxy
	}
	d := Decision{Allowed: e == nil && !stopped, Reason: ReasonAllowed, Principal: p, Operation: o.op}
	var why explanation
	switch {
	case e != nil:
		why = m.explain(p, o.op, v, e)
		d.Reason, d.Status = e.Reason, e.Status
	case stopped:
		why = explanation{reason: ReasonBatch, expected: "a batch in which everything is allowed", got: "one with a refusal"}
		d.Reason, d.Status = ReasonBatch, http.StatusForbidden
	}
	if !d.Allowed {
		why.withCure()
		m.logRefusal(ctx, p, o.op, d.Status, &why, s)
	}
	if m.onDecision == nil {
		return
	}
	d.Time, d.Needed, d.Granted = m.now(), v.needed, p.Grant().Presented()
	if !v.rule.IsZero() {
		d.Rule = v.rule.String()
		if d.Needed == nil {
			d.Needed = v.rule.Challenge(p.Grant())
		}
	}
	d.RequestID, d.TraceID = string(o.id), s.traceID
	d.Arguments, d.WithheldArguments = m.auditedArguments(o)
	d.Expected, d.Got, d.Cure, d.Cause = why.expected, why.got, why.cure, why.cause()
	m.onDecision(ctx, d)
}

// explain says why an operation was refused, and where that is cured.
func (m *Middleware) explain(p *Principal, op Operation, v verdict, e *Error) explanation {
	why := explanation{reason: e.Reason, err: e.Err}
	switch e.Reason {
	case ReasonInsufficientScope:
		why.expected = "scopes " + strings.Join(v.needed, " ") + " for the rule " + v.rule.String()
		why.got = "scopes " + listed(p.Grant().Scopes())
		why.cure = "the client can ask for them; if it does and the token still lacks them, the authorization server does not grant them to this client or user, or names them in another claim: then set Issuer.Grants.ScopeClaims"
	case ReasonRole:
		why.expected = "the rule " + v.rule.String()
		why.got = "roles " + listed(p.Grant().Roles()) + ", scopes " + listed(p.Grant().Scopes())
		why.cure = "give the user the role at the authorization server, or read roles from the right claim with Issuer.Grants.RoleClaims; no scope helps"
		if unknown := p.Grant().Unknown(); len(unknown) > 0 {
			why.got += "; unknown: " + listed(unknown)
			why.cure = "the token only says that these claims are elsewhere, because there are too many groups or because they have to be fetched: have the authorization server write fewer of them (Entra ID: groups assigned to the application, or app roles); what is unknown grants nothing"
		}
		if p.fields().fixed {
			why.cure = "add the role where these credentials are kept: to the key (APIKey.Roles), or to what the Authenticator returns"
		}
	case ReasonFixedGrant:
		why.expected = "the rule " + v.rule.String()
		why.got = "scopes " + listed(p.Grant().Scopes())
		why.cure = "grant the scopes to these credentials where they are kept; the client cannot ask for more, as it could with a login"
	case ReasonLogin:
		if v.login != nil {
			why.expected = v.login.String()
		}
		why.got = "acr " + orNone(loggable(p.text("acr"))) + ", auth_time " + orNone(stampOf(p.signedIn()))
		why.cure = "the client can have the user sign in anew with the acr_values and max_age of the challenge; if it does and the token still lacks them, have the authorization server write acr and auth_time into access tokens (RFC 9470, Section 6)"
	case ReasonNoLogin:
		why.expected, why.got = "a sign-in as RequireLogin asks for", "credentials that cannot bring it"
	case ReasonClientLimit:
		why.expected = "the rule " + v.rule.String() + " within what the application may do at most"
		why.got = "the application " + loggable(p.ClientID()) + ", limited to scopes " + listed(p.Grant().Scopes()) + " and roles " + listed(p.Grant().Roles()) + " of this caller"
		why.cure = "if the application should be able to do this, add the scope or role to its entry in Config.Clients or in the policy's clients"
	case ReasonClient:
		why.expected = "an application that an administrator has listed"
		why.got = "the application " + loggable(p.ClientID()) + " of " + loggable(p.Issuer())
		why.cure = "if it should have access, give it an entry in Config.Clients or in the policy's clients, or add the entry \"*\" for all others"
	case ReasonNoRule:
		why.expected, why.got = "a declared rule", "none"
		why.cure = "if the server has it, declare one with " + requireFunc(op) + ", or set Config.Unlisted; if not, the client is wrong"
	case ReasonUnsafeURI:
		why.expected, why.got = "a URI of at most 8 KiB without dot segments", "another one"
	case ReasonPanic:
		why.expected, why.got = "a Policy that returns", "a panic"
	case ReasonUnavailable:
		why.expected, why.got = "an answer from Config.Policy", "none"
	case ReasonRateLimit, ReasonLimitStore:
		why.expected, why.got = e.expected, e.got
	default: // also a reason of the Policy's own
		why.expected, why.got = "a call that Config.Policy allows", "a refusal by it"
		why.cure = cures[ReasonPolicy]
	}
	return why
}

func levelOf(reason Reason) slog.Level {
	switch reason {
	case ReasonNoCredentials, ReasonInsufficientScope, ReasonLogin, ReasonProofNonceMissing:
		return slog.LevelInfo // how every client begins, and how it steps up
	}
	return slog.LevelWarn
}

func (m *Middleware) logRefusal(ctx context.Context, p *Principal, op Operation, status int, why *explanation, s summary, more ...slog.Attr) {
	level := levelOf(why.reason)
	if !m.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("reason", string(why.reason)), slog.Int("status", status))
	if op.Method != "" {
		attrs = append(attrs, slog.String("method", loggable(op.Method)))
	}
	if op.Name != "" {
		attrs = append(attrs, slog.String("name", loggable(op.Name)))
	}
	for _, field := range [...]struct{ name, value string }{{"expected", why.expected}, {"got", why.got}, {"cure", why.cure}} {
		if field.value != "" {
			attrs = append(attrs, slog.String(field.name, field.value))
		}
	}
	if cause := why.cause(); cause != "" {
		attrs = append(attrs, slog.String("cause", cause))
	}
	if p != nil {
		attrs = append(attrs, slog.Any("principal", p))
	}
	if s.method != "" {
		attrs = append(attrs, slog.String("http_method", loggable(s.method)), slog.String("remote", loggable(s.remote)))
	}
	attrs = append(attrs, more...)
	if s.traceID != "" {
		attrs = append(attrs, slog.String("trace_id", s.traceID))
	}
	m.log.LogAttrs(ctx, level, "mcpauth: refused", attrs...)
}

// requireFunc is the method that declares a rule for op.
func requireFunc(op Operation) string {
	return [...]string{"RequireMethod", "RequireTool", "RequirePrompt", "RequireResource"}[targetOf(op)]
}

const maxLogged = 200

// loggable makes foreign text fit for a log: bounded, and ASCII without line breaks, escapes or bidi
// controls (CWE-117).
func loggable(s string) string {
	more := ""
	if len(s) > maxLogged {
		s, more = s[:maxLogged], "..."
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return strconv.QuoteToASCII(s) + more
		}
	}
	return s + more
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// stampOf is a time for a log; empty where there is none.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "(none)"
	}
	more := ""
	if len(names) > 20 {
		more = " and " + strconv.Itoa(len(names)-20) + " more"
		names = names[:20]
	}
	return loggable(strings.Join(slices.Clone(names), " ")) + more
}
