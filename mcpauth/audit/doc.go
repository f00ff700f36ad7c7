// Package audit writes down what a [mcpauth.Middleware] decides, and counts it. All of it goes into
// Config.OnDecision:
//
//	var usage audit.Usage
//	auth, err := mcpauth.New(mcpauth.Config{
//		// ...
//		OnDecision: audit.Tee(
//			audit.Log(slog.NewJSONHandler(file, nil), audit.Options{}),
//			usage.Record,
//		),
//	})
//
// [Log] makes one record of each decision, allowed or refused. [Usage] counts them per user, client and
// tool, and [Tee] feeds both.
//
// # The record
//
// Its time is Decision.Time, its message [Message]. These names are stable. What is empty is left out, except
// for the first two:
//
//	allowed              bool
//	reason               stable text: mcpauth.Reason
//	status               HTTP status of a refusal
//	method, name         the operation: tools/call and the tool, resources/read and the URI
//	rule                 the rule that was asked, in the syntax of scopes.Parse
//	needed, granted      lists of scopes: what the operation needs, what the token holds
//	principal.id         who asks: mcpauth.Principal.ID
//	principal.issuer     who vouches for the caller
//	principal.subject    the user, unique within the issuer; the client where it acts for itself
//	principal.client     the application
//	principal.actor      who acts for the user (RFC 8693, Section 4.1)
//	principal.scheme     how the credentials came
//	request_id           the JSON-RPC id, as it stands in the body
//	trace_id             of W3C Trace Context
//	arguments.NAME       of a tool or prompt, as JSON text: what Config.AuditArguments names, and nothing else
//	withheld             arguments that are named there and too long, or not clear
//	expected, got, cure  why a call was refused, and what repairs it
//	cause                the error behind it, such as that of Config.Policy
//
// The level is Info for what was allowed and for the refusals that every good client meets: no credentials
// yet, a scope or a sign-in to ask for, the first nonce. It is Error where nobody could tell (503, a panic),
// and Warn for every other refusal.
//
// Names, ids and claims are foreign text. Each is at most a few hundred printable ASCII characters; one
// that holds anything else is written as a quoted Go string, so that no line can be forged and no terminal
// steered, whatever the handler does (CWE-117). Arguments are JSON on one line, in ASCII. No record holds a
// token, a proof or a key, since a Decision has none.
//
// # Personal data
//
// Subjects say who did what and when. Options.PseudonymKey puts a keyed hash in their place, and Options.Omit
// leaves attributes out. The names of resources, the arguments and what a refusal got can name people,
// too. [Usage] holds subjects as they are.
package audit
