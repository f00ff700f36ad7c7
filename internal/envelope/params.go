package envelope

import (
	"encoding/json"

	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// metaVersion is the member of _meta that carries the revision from 2026-07-28 on.
const metaVersion = "io.modelcontextprotocol/protocolVersion"

// metaTrace is the member of _meta that carries the trace of the caller, whatever the transport.
const metaTrace = "traceparent"

// A shape tells where the params of a method hold what authorization needs.
type shape struct {
	target Target
	member string   // of the params, naming the target
	read   []string // all members that are read, here or by the server to the same end
}

var (
	named     = []string{"_meta", "name", "arguments"}
	addressed = []string{"_meta", "uri"}
	listed    = []string{"_meta", "cursor"}
	other     = []string{"_meta"}
	complete  = []string{"_meta", "ref"}
	listen    = []string{"_meta", "notifications"}

	refMembers    = []string{"type", "name", "uri"}
	listenMembers = []string{"resourceSubscriptions"}
	metaMembers   = []string{metaVersion}
)

func shapeOf(method string) shape {
	switch method {
	case "tools/call":
		return shape{Tool, "name", named}
	case "prompts/get":
		return shape{Prompt, "name", named}
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return shape{Resource, "uri", addressed}
	case "completion/complete":
		return shape{NoTarget, "ref", complete}
	case "subscriptions/listen":
		return shape{NoTarget, "notifications", listen}
	case "tools/list", "prompts/list", "resources/list", "resources/templates/list":
		return shape{NoTarget, "", listed}
	}
	return shape{NoTarget, "", other}
}

// params holds what authorization needs of the params of one message.
type params struct {
	seen      bool
	target    Target
	name      string
	listened  bool // notifications were there
	uris      []string
	arguments json.RawMessage
	version   string
	trace     string
}

// read reads the params of method from s, whose next value is an object.
func (p *params) read(s *strictjson.Scanner, method string) error {
	p.seen = true
	sh := shapeOf(method)
	return s.Object(func(name []byte) error {
		switch string(name) {
		case "_meta":
			return p.meta(s)
		case "arguments":
			if sh.target == Tool || sh.target == Prompt {
				raw, err := s.Raw()
				p.arguments = raw
				return err
			}
		case "name", "uri":
			if sh.member == string(name) {
				p.target = sh.target
				return text(s, &p.name)
			}
		case "ref":
			if sh.member == "ref" {
				return p.ref(s)
			}
		case "notifications":
			if sh.member == "notifications" {
				return p.notifications(s)
			}
		case "cursor":
		default:
			return foreign(name, sh.read)
		}
		return nil
	})
}

// meta reads the revision of the protocol, and the trace. A server ignores one that is no string, and so does this.
func (p *params) meta(s *strictjson.Scanner) error {
	switch s.Kind() {
	case strictjson.NullKind:
		return nil
	case strictjson.ObjectKind:
	default:
		return otherKind(s, ErrType)
	}
	return s.Object(func(name []byte) error {
		into := &p.version
		switch string(name) {
		case metaVersion:
		case metaTrace: // says nothing of what is asked for, so its other spellings do no harm
			into = &p.trace
		default:
			return foreign(name, metaMembers)
		}
		if s.Kind() != strictjson.StringKind {
			return nil
		}
		var err error
		*into, err = s.String()
		return err
	})
}

// ref reads the reference of completion/complete: a prompt by name, or a resource by URI.
func (p *params) ref(s *strictjson.Scanner) error {
	if s.Kind() != strictjson.ObjectKind {
		return otherKind(s, ErrType)
	}
	var kind, prompt, uri string
	err := s.Object(func(name []byte) error {
		switch string(name) {
		case "type":
			return text(s, &kind)
		case "name":
			return text(s, &prompt)
		case "uri":
			return text(s, &uri)
		}
		return foreign(name, refMembers)
	})
	switch {
	case err != nil:
		return err
	case kind == "ref/prompt" && uri == "":
		p.target, p.name = Prompt, prompt
	case kind == "ref/resource" && prompt == "":
		p.target, p.name = Template, uri
	default:
		return ErrTarget
	}
	return nil
}

// notifications reads the resource URIs that subscriptions/listen asks for. go-sdk subscribes to
// them without going through its chain of middleware, so this is where each is found.
func (p *params) notifications(s *strictjson.Scanner) error {
	if s.Kind() != strictjson.ObjectKind {
		return otherKind(s, ErrType)
	}
	p.listened = true
	return s.Object(func(name []byte) error {
		if string(name) != "resourceSubscriptions" {
			return foreign(name, listenMembers)
		}
		switch s.Kind() {
		case strictjson.NullKind:
			return nil
		case strictjson.ArrayKind:
		default:
			return otherKind(s, ErrType)
		}
		return s.Array(func(i int) error {
			if i == maxSubscriptions {
				return ErrLimit
			}
			var uri string
			if err := text(s, &uri); err != nil {
				return err
			}
			if uri == "" {
				return ErrTarget
			}
			p.uris = append(p.uris, uri)
			return nil
		})
	})
}

// targets appends op once for everything that its params name. A name that is missing or empty is
// refused: an Operation without one would be judged by its method alone.
func (e *Envelope) targets(op Operation, p *params) error {
	switch shapeOf(op.Method).member {
	case "name", "uri", "ref":
		if p.name == "" {
			return ErrTarget
		}
		op.Target, op.Name = p.target, p.name
		if e.Batch && (op.Target == Resource || op.Target == Template) {
			if e.uris += len(op.Name); e.uris > maxURIs {
				return ErrLimit
			}
		}
	case "notifications":
		if !p.listened {
			return ErrTarget
		}
	}
	e.Operations = append(e.Operations, op)
	for _, uri := range p.uris {
		e.subscriptions++
		if e.uris += len(uri); e.subscriptions > maxSubscriptions || e.uris > maxURIs {
			return ErrLimit
		}
		op.Target, op.Name = Resource, uri
		e.Operations = append(e.Operations, op)
	}
	return nil
}

// text reads a string. go-sdk takes null for an empty one; here it is refused.
func text(s *strictjson.Scanner, to *string) (err error) {
	if s.Kind() != strictjson.StringKind {
		return otherKind(s, ErrType)
	}
	*to, err = s.String()
	return err
}
