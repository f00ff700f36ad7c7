package envelope

import (
	"errors"

	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// An Error refuses a body. The caller answers 400. All texts are constant: nothing of the body is
// in them. Every Error that [Read] returns is one of the variables below.
type Error struct {
	Reason string // stable code for logs
	Code   int    // JSON-RPC error code for the answer
	text   string
}

// Error implements error.
func (e *Error) Error() string { return e.text }

// JSON-RPC 2.0, Section 5.1: no JSON is -32700, JSON that is no request -32600. MCP gives missing
// params -32602.
var (
	ErrSyntax    = &Error{"body_syntax", -32700, "the body is not one JSON text"}
	ErrUTF8      = &Error{"body_utf8", -32700, "the body is not valid UTF-8"}
	ErrDepth     = &Error{"body_depth", -32700, "the body is nested too deeply"}
	ErrDuplicate = &Error{"body_duplicate_member", -32600, "an object in the body names a member twice"}
	ErrAmbiguous = &Error{"body_ambiguous_member", -32600, "a member differs from one of the protocol in case only"}
	ErrBatch     = &Error{"body_batch", -32600, "batches are not accepted"}
	ErrLimit     = &Error{"body_too_many", -32600, "the body asks for too many things at once"}
	ErrVersion   = &Error{"body_jsonrpc_version", -32600, "the member jsonrpc must be 2.0"}
	ErrMessage   = &Error{"body_no_message", -32600, "the body is no request, notification or response"}
	ErrID        = &Error{"body_id", -32600, "the id must be a string or an integer"}
	ErrType      = &Error{"body_type", -32600, "a member has another type than the protocol gives it"}
	ErrTarget    = &Error{"body_no_target", -32602, "the params do not name what the method works on"}
)

// refusal is the Error for err, which comes from the scanner or is one already.
func refusal(err error) error {
	for _, known := range [...]struct {
		cause error
		this  *Error
	}{
		{strictjson.ErrDuplicate, ErrDuplicate},
		{strictjson.ErrUTF8, ErrUTF8},
		{strictjson.ErrDepth, ErrDepth},
		{strictjson.ErrType, ErrType},
	} {
		if errors.Is(err, known.cause) {
			return known.this
		}
	}
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	return ErrSyntax
}

// otherKind refuses the next value for its type, unless it begins no value at all.
func otherKind(s *strictjson.Scanner, this *Error) error {
	if s.Kind() == strictjson.InvalidKind {
		return ErrSyntax
	}
	return this
}
