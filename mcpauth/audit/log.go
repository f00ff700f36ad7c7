package audit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// Message is the message of every record that [Log] makes.
const Message = "mcpauth: decision"

// Names of attributes that may be in Options.Omit.
var attributes = []string{
	"status", "method", "name", "rule", "needed", "granted",
	"principal", "principal.id", "principal.issuer", "principal.subject", "principal.client", "principal.actor", "principal.scheme",
	"request_id", "trace_id", "arguments", "withheld", "expected", "got", "cause", "cure",
}

const minPseudonymKey = 32

// Options configures [Log]. The zero value writes everything that the package comment lists.
type Options struct {
	// PseudonymKey, where it is set, puts keyed hashes (HMAC-SHA256) in the place of principal.id,
	// principal.subject and principal.actor. Records of one user can still be found together, and whoever
	// has the key can find those of a user that he knows; a new key ends both. A hash without a key
	// would not do, for subjects can be guessed. At least 32 random bytes; nil: names as they are.
	PseudonymKey []byte

	// Omit leaves attributes out: "principal.subject", "arguments", "principal" as a whole. Nil: none.
	// allowed and reason cannot be left out.
	Omit []string

	// OnError is told when the handler cannot write a record. Nil: errors are dropped, as slog.Logger does.
	// If it panics, the request is refused with 503: what cannot be written down does not happen then.
	OnError func(context.Context, error)
}

// Log returns a function for Config.OnDecision that hands each decision to h as one record, with the
// attributes and the levels of the package comment. A handler that is not enabled for a level gets no record
// of it. The context that h gets has the values of the request's and does not end with it, so a handler that could wait
// sets itself a time. It is safe for concurrent use if h is, as handlers must be.
//
// It panics if h is nil or the options hold a mistake.
func Log(h slog.Handler, opts Options) func(context.Context, mcpauth.Decision) {
	if h == nil {
		panic("audit: Log: the handler is nil")
	}
	if n := len(opts.PseudonymKey); opts.PseudonymKey != nil && n < minPseudonymKey {
		panic(fmt.Sprintf("audit: Log: Options.PseudonymKey has %d bytes; make one of %d random bytes, and keep it", n, minPseudonymKey))
	}
	l := &logger{handler: h, key: slices.Clone(opts.PseudonymKey), omit: make(map[string]bool, len(opts.Omit)), failed: opts.OnError}
	for _, name := range opts.Omit {
		if !slices.Contains(attributes, name) {
			panic(fmt.Sprintf("audit: Log: Options.Omit: there is no attribute %q that can be left out; write some of %q", name, attributes))
		}
		l.omit[name] = true
	}
	return l.log
}

type logger struct {
	handler slog.Handler
	key     []byte
	omit    map[string]bool
	failed  func(context.Context, error)
}

func (l *logger) log(ctx context.Context, d mcpauth.Decision) {
	level := levelOf(&d)
	if !l.handler.Enabled(ctx, level) {
		return
	}
	var room [18]slog.Attr
	attrs := append(room[:0], slog.Bool("allowed", d.Allowed), slog.String("reason", text(string(d.Reason), maxText)))
	add := func(name, value string, limit int) {
		if value != "" && !l.omit[name] {
			attrs = append(attrs, slog.String(name, text(value, limit)))
		}
	}
	list := func(name string, values []string) {
		if len(values) > 0 && !l.omit[name] {
			attrs = append(attrs, slog.Any(name, texts(values)))
		}
	}
	if d.Status != 0 && !l.omit["status"] {
		attrs = append(attrs, slog.Int("status", d.Status))
	}
	add("method", d.Operation.Method, maxText)
	add("name", d.Operation.Name, maxText)
	add("rule", d.Rule, maxSentence)
	list("needed", d.Needed)
	list("granted", d.Granted)
	if who := l.principal(d.Principal); len(who) > 0 {
		attrs = append(attrs, slog.Attr{Key: "principal", Value: slog.GroupValue(who...)})
	}
	add("request_id", d.RequestID, maxText)
	add("trace_id", d.TraceID, maxText)
	if len(d.Arguments) > 0 && !l.omit["arguments"] {
		attrs = append(attrs, slog.Attr{Key: "arguments", Value: arguments(&d)})
	}
	list("withheld", d.WithheldArguments)
	add("expected", d.Expected, maxSentence)
	add("got", d.Got, maxSentence)
	add("cause", d.Cause, maxSentence)
	add("cure", d.Cure, maxSentence)

	r := slog.NewRecord(d.Time, level, Message, 0)
	r.AddAttrs(attrs...)
	ctx = context.WithoutCancel(ctx) // or a client that hangs up in time would leave no trace
	if err := l.handler.Handle(ctx, r); err != nil && l.failed != nil {
		l.failed(ctx, err)
	}
}

// principal never reads a claim but those that a Principal names.
func (l *logger) principal(p *mcpauth.Principal) []slog.Attr {
	if p == nil || l.omit["principal"] {
		return nil
	}
	out := make([]slog.Attr, 0, 6)
	add := func(name, full, value string) {
		if value != "" && !l.omit[full] {
			out = append(out, slog.String(name, text(value, maxText)))
		}
	}
	id, subject, actor := p.ID(), p.Subject(), p.Actor()
	if l.key != nil {
		// The id as well: it is a hash without a key.
		id = l.pseudonym("id", id)
		subject = l.pseudonym("subject", p.Issuer(), subject)
		actor = l.pseudonym("actor", p.Issuer(), actor)
	}
	add("id", "principal.id", id)
	add("issuer", "principal.issuer", p.Issuer())
	add("subject", "principal.subject", subject)
	client := p.ClientID()
	if l.key != nil && client == p.Subject() {
		client = "" // a caller whose user is named like its application, or who is one: the hash stands for both
	}
	add("client", "principal.client", client)
	add("actor", "principal.actor", actor)
	add("scheme", "principal.scheme", p.Scheme())
	return out
}

// pseudonym is a keyed hash of parts, whose last one is what must not be read. Parts are joined by length, so
// that no two lists of them are one.
func (l *logger) pseudonym(parts ...string) string {
	if parts[len(parts)-1] == "" {
		return ""
	}
	mac := hmac.New(sha256.New, l.key)
	for _, s := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(s)))
		mac.Write(size[:])
		mac.Write([]byte(s))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// arguments holds foreign JSON, as text: whatever the handler makes of JSON, nothing in it is part of the line.
func arguments(d *mcpauth.Decision) slog.Value {
	out := make([]slog.Attr, 0, len(d.Arguments))
	for _, name := range slices.Sorted(maps.Keys(d.Arguments)) {
		out = append(out, slog.String(text(name, maxText), plainJSON(d.Arguments[name], maxSentence)))
	}
	return slog.GroupValue(out...)
}

func levelOf(d *mcpauth.Decision) slog.Level {
	if d.Allowed {
		return slog.LevelInfo
	}
	switch d.Reason {
	case mcpauth.ReasonNoCredentials, mcpauth.ReasonInsufficientScope, mcpauth.ReasonLogin, mcpauth.ReasonProofNonceMissing:
		return slog.LevelInfo // how every client begins, and how it steps up
	case mcpauth.ReasonPanic:
		return slog.LevelError
	}
	if d.Status == http.StatusServiceUnavailable {
		return slog.LevelError
	}
	return slog.LevelWarn
}
