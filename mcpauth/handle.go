package mcpauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// ErrHandle says that a handle was not made by this Binder for this caller and purpose. Treat it like
// a handle that does not exist.
var ErrHandle = errors.New("mcpauth: the handle is not this caller's")

const (
	minBinderKey = 32
	maxHandle    = 64 << 10
)

// A Binder makes handles that only the caller to whom they were given can use: cursors, requestState,
// task ids, ids of elicitations, and whatever else a tool hands out and takes back (MCP, State Handle
// Hijacking). A handle is no credential, but without an owner everybody who learns of it can use it.
//
// A bound handle is the handle itself and a keyed hash over it, its purpose and [Principal.ID]. It is
// not encrypted. The zero Binder and nil refuse every handle. A Binder is safe for concurrent use.
type Binder struct{ key []byte }

// NewBinder returns a Binder with a key of at least 32 bytes, which replicas must share. A nil key
// means a random one: handles then end with the process.
func NewBinder(key []byte) (*Binder, error) {
	if key == nil {
		key = make([]byte, minBinderKey)
		rand.Read(key) // never fails
		return &Binder{key}, nil
	}
	if len(key) < minBinderKey {
		return nil, errors.New("mcpauth: a binder's key has at least 32 random bytes; make them with crypto/rand")
	}
	return &Binder{append([]byte(nil), key...)}, nil
}

// Bind returns a handle that [Binder.Open] accepts from p alone, for the same purpose: a fixed string
// such as "task" that keeps one kind of handle from being used as another. It returns "" for a nil
// Principal, and for a handle that is empty or longer than 64 KiB.
func (b *Binder) Bind(p *Principal, purpose, handle string) string {
	if !b.usable(p) || handle == "" || len(handle) > maxHandle {
		return ""
	}
	return handle + "." + b.sum(p, purpose, handle)
}

// Open returns the handle within a bound one, or [ErrHandle].
func (b *Binder) Open(p *Principal, purpose, bound string) (string, error) {
	dot := strings.LastIndexByte(bound, '.')
	if !b.usable(p) || dot <= 0 || dot > maxHandle {
		return "", ErrHandle
	}
	// The texts are compared, since a decoder passes over line breaks.
	if !hmac.Equal([]byte(bound[dot+1:]), []byte(b.sum(p, purpose, bound[:dot]))) {
		return "", ErrHandle
	}
	return bound[:dot], nil
}

func (b *Binder) usable(p *Principal) bool {
	return b != nil && len(b.key) >= minBinderKey && p.ID() != ""
}

// sum joins by length, so that no other split of the same text has the same hash.
func (b *Binder) sum(p *Principal, purpose, handle string) string {
	mac := hmac.New(sha256.New, b.key)
	for _, s := range []string{purpose, p.ID(), handle} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		mac.Write(n[:])
		mac.Write([]byte(s))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
