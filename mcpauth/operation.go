package mcpauth

import (
	"encoding/json"
	"net/http"
	"time"
)

// An Operation is one thing that a caller asks for.
type Operation struct {
	// Method is the JSON-RPC method, such as "tools/call"; "GET" and "DELETE" stand for those HTTP
	// requests, which have no body; empty stands for a client's answer to a request of the server.
	Method string

	// Name is the tool, the prompt or the resource URI. It is empty where the method alone decides.
	Name string

	ref target // what Name is, where the method leaves it open
}

// String is the method, and the name if there is one.
func (op Operation) String() string {
	if op.Name == "" {
		return op.Method
	}
	return op.Method + " " + op.Name
}

// A Call is an operation that waits for a decision, with what a [Policy] may look at besides.
type Call struct {
	Principal *Principal // who asks; never nil in a Policy
	Operation
	Arguments  json.RawMessage // of tools/call and prompts/get, as sent; must not be changed
	Header     http.Header     // of the HTTP request, without credentials; nil without HTTP
	RemoteAddr string          // the peer of the connection, which may be a proxy; empty without HTTP
	Time       time.Time       // of the decision, by Config.Now; Check fills it in where it is zero
}

// A Decision is what was decided about one operation, or about one request that was refused before
// any operation in it was looked at. A subscriptions/listen makes one for itself and one for each
// resource that it names. A Decision holds no credentials, and no argument but those that
// Config.AuditArguments names.
type Decision struct {
	Time      time.Time  // by Config.Now
	Allowed   bool       // the operation went on to the server
	Status    int        // HTTP status of a refusal, or 403 where the answer is that of an unknown operation; zero when allowed
	Reason    Reason     // never empty
	Principal *Principal // nil before authentication; of a refused proof, whom its token names
	Operation Operation  // zero before authentication
	Rule      string     // the rule that was asked, BaseScopes included, in the syntax of scopes.Parse; empty without one
	Needed    []string   // scopes that the operation needs
	Granted   []string   // scopes that the token holds
	RequestID string     // JSON-RPC id as it stands in the body, foreign text of at most 256 bytes; empty for notifications
	TraceID   string     // from a well-formed traceparent (W3C Trace Context) in params._meta, else in the header, else empty

	// Arguments holds those arguments of a tool or prompt that Config.AuditArguments names, as they came:
	// foreign JSON of at most 1 KiB each. WithheldArguments names those that are longer, and those beside which
	// there is one that differs in case only, since a handler may take that for it. Nil without any.
	Arguments         map[string]json.RawMessage
	WithheldArguments []string

	// Expected, Got and Cure say in sentences, for an operator, what a refusal compared and what
	// usually repairs it. They may hold claims, quoted, and never a token.
	Expected, Got, Cure string

	// Cause is the text of the error behind a refusal, such as a Policy's: of at most 200 bytes, fit for a log, and not
	// for the client. Empty without one.
	Cause string
}
