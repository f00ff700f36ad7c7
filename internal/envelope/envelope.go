// Package envelope reads the body of an MCP POST for one purpose: to name every operation in it,
// so that each can be authorized before anything runs.
//
// What is authorized must be what is executed. [Read] therefore accepts a body only where the SDK
// behind it, and any other parser, can read nothing else in it: member names with their case, no
// member twice, none beside one of ours that differs in case only, one JSON text in valid UTF-8,
// and every name a non-empty string. A body outside of that is refused, never passed on.
//
// The package knows JSON-RPC 2.0 and where MCP puts the name of a tool, a prompt or a resource. It
// knows no rules: a method that it has not heard of is reported by its method alone.
package envelope

import (
	"encoding/json"

	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// Bounds on what one body may ask to be decided. Clients stay far below them.
const (
	defaultDepth     = 128      // go-sdk gives up at 1000; arguments are the user's own data
	maxMessages      = 100      // in one batch
	maxSubscriptions = 1000     // in all messages of a body together
	maxURIs          = 64 << 10 // bytes of the URIs in a batch or a subscription, each of which is held against every pattern
)

// Options adjust [Read]. The zero value refuses batches.
type Options struct {
	AllowBatch bool // JSON-RPC batches: only revisions before 2025-06-18 have them
	MaxDepth   int  // arrays and objects open at once; zero means 128
}

// Kind tells what a JSON-RPC message is. The zero Kind is no message.
type Kind byte

const (
	Request      Kind = iota + 1 // method and id
	Notification                 // method without id, or with the id null, as go-sdk takes it
	Response                     // id and a result or an error, the answer to a request of the server
)

// Target tells what Name of an [Operation] names, and thereby which rule governs it.
type Target byte

const (
	NoTarget Target = iota // nothing: Name is empty and the method alone decides
	Tool                   // tools/call
	Prompt                 // prompts/get, and completion/complete for a prompt
	Resource               // resources/read, subscribe, unsubscribe, and each URI of subscriptions/listen
	Template               // completion/complete for a resource: Name is the URI or URI template
)

// An Operation is one thing that a body asks for. A message is one Operation, but for
// subscriptions/listen, which is one with NoTarget and one more for each resource URI in it.
//
// The byte slices are parts of the body: they must not be changed.
type Operation struct {
	Kind            Kind
	Target          Target
	Message         int             // place of the message in a batch, from 0
	Method          string          // empty only for a Response
	Name            string          // never empty unless Target is NoTarget
	ID              json.RawMessage // a string or a number with an integral value; nil for a Notification
	Arguments       json.RawMessage // of tools/call and prompts/get, as sent; nil if absent
	ProtocolVersion string          // _meta["io.modelcontextprotocol/protocolVersion"], or empty
	Traceparent     string          // _meta["traceparent"] (W3C Trace Context), unchecked, or empty
}

// An Envelope is what a body asks for, in order.
type Envelope struct {
	Operations []Operation // never empty
	Batch      bool        // the body is an array

	one           [1]Operation
	subscriptions int
	uris          int // bytes
}

// Read names every operation in body, or refuses the body with an [*Error]. It takes one pass; the
// caller bounds the size of body, which must not change while the Envelope is in use.
func Read(body []byte, opt Options) (*Envelope, error) {
	lim := strictjson.Limits{MaxDepth: opt.MaxDepth}
	if lim.MaxDepth <= 0 {
		lim.MaxDepth = defaultDepth
	}
	env := new(Envelope)
	env.Operations = env.one[:0]
	s := strictjson.NewScanner(body, lim)
	var err error
	switch kind := s.Kind(); {
	case kind == strictjson.ArrayKind && !opt.AllowBatch:
		return nil, ErrBatch
	case kind == strictjson.ArrayKind:
		env.Batch = true
		err = s.Array(func(i int) error {
			if i == maxMessages {
				return ErrLimit
			}
			return env.read(s, i, lim)
		})
	case kind == strictjson.InvalidKind:
		return nil, ErrSyntax
	default:
		err = env.read(s, 0, lim)
	}
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, refusal(err)
	}
	if len(env.Operations) == 0 {
		return nil, ErrMessage // JSON-RPC 2.0, Section 6: an empty batch is no request
	}
	return env, nil
}

// read reads one message and appends its operations.
func (e *Envelope) read(s *strictjson.Scanner, index int, lim strictjson.Limits) error {
	if s.Kind() != strictjson.ObjectKind {
		return otherKind(s, ErrMessage)
	}
	var m message
	if err := s.Object(func(name []byte) error { return m.member(s, name) }); err != nil {
		return err
	}
	op := Operation{Message: index, ID: m.id}
	switch {
	case !m.version:
		return ErrVersion
	case m.method != "" && !m.result && !m.failure && !m.answer:
		if m.late != nil {
			// The params came before the method, so only now it is known what in them to read.
			if err := m.params.read(strictjson.NewScanner(m.late, lim), m.method); err != nil {
				return err
			}
		}
		op.Kind, op.Method = Request, m.method
		if op.ID == nil {
			op.Kind = Notification
		}
		op.Arguments, op.ProtocolVersion, op.Traceparent = m.params.arguments, m.params.version, m.params.trace
		return e.targets(op, &m.params)
	case m.method == "" && m.result != m.failure && op.ID != nil && !m.params.seen && m.late == nil:
		op.Kind = Response
		e.Operations = append(e.Operations, op)
		return nil
	}
	return ErrMessage
}

// A message holds what the members of one JSON-RPC object said so far.
type message struct {
	version bool            // jsonrpc is "2.0"
	id      json.RawMessage // nil: absent or null
	method  string
	result  bool // there is a result
	failure bool // there is an error, and it is not null
	answer  bool // there is a result or an error, null or not: no place beside a method
	late    []byte
	params  params
}

var messageMembers = []string{"jsonrpc", "id", "method", "params", "result", "error"}

// member reads one member of the message. The scanner skips and validates what it leaves alone.
func (m *message) member(s *strictjson.Scanner, name []byte) error {
	kind := s.Kind()
	switch string(name) {
	case "jsonrpc":
		if kind != strictjson.StringKind {
			return otherKind(s, ErrVersion)
		}
		version, err := s.String()
		m.version = version == "2.0"
		return err
	case "id":
		raw, err := s.Raw()
		if err != nil || kind == strictjson.NullKind {
			return err
		}
		if !validID(raw) {
			return ErrID
		}
		m.id = raw
		return nil
	case "method":
		if kind != strictjson.StringKind {
			return otherKind(s, ErrType)
		}
		method, err := s.String()
		if err == nil && method == "" {
			return ErrMessage
		}
		m.method = method
		return err
	case "params":
		switch {
		case kind == strictjson.NullKind: // as good as none, for go-sdk too
			return s.Skip()
		case kind != strictjson.ObjectKind:
			return otherKind(s, ErrType)
		case m.method != "":
			return m.params.read(s, m.method)
		}
		raw, err := s.Raw()
		m.late = raw
		return err
	case "result":
		m.result, m.answer = true, true
		return nil
	case "error":
		// Some clients write "error":null beside a result; go-sdk takes that for no error.
		m.answer = true
		if kind == strictjson.NullKind {
			return nil
		}
		if kind != strictjson.ObjectKind {
			return otherKind(s, ErrType)
		}
		m.failure = true
		return nil
	}
	return foreign(name, messageMembers)
}

// foreign refuses a member that is none of ours but could be mistaken for one.
func foreign(name []byte, ours []string) error {
	for _, our := range ours {
		if strictjson.EqualFold(name, our) {
			return ErrAmbiguous
		}
	}
	return nil
}
