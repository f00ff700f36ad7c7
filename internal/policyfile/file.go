// Package policyfile reads a policy from JSON: who may do what on a server, as data. It says where each mistake is and
// finds as many as it can at once; whether the names in a file fit a server, others decide.
package policyfile

import (
	"time"

	"github.com/go-mcpauth/sdk/scopes"
)

// Version is the value of the member "version" that this package reads.
const Version = 1

// Limits on a file. A policy is written by people, or by programs for them.
const (
	MaxSize = 4 << 20  // bytes
	maxText = 16 << 10 // bytes of one string
)

// A File is a policy. Names stand in the order of the file.
type File struct {
	Scopes  []Scope
	Roles   []Role
	Clients []Client // HasClients tells an empty list from none
	Rules   [Kinds][]Rule

	Annotated Annotated

	HasScopes, HasRoles, HasClients bool

	Sum string // SHA-256 of the text in hex, as sha256sum prints it
}

// Kind is what kind of thing a rule is about.
type Kind int

// The kinds, under the names of their members.
const (
	Methods Kind = iota
	Tools
	Prompts
	Resources
	Kinds int = iota
)

func (k Kind) String() string { return [...]string{"methods", "tools", "prompts", "resources"}[k] }

// A Scope is one that rules name, for people.
type Scope struct {
	Name               string
	Title, Description string
	Implies            []string
	At                 Position
}

// A Role likewise, and the scopes that its holders have.
type Role struct {
	Name               string
	Title, Description string
	Implies, Scopes    []string
	At                 Position
}

// A Client is what an application may do at most.
type Client struct {
	ID                     string
	Issuers, Scopes, Roles []string
	Unlimited              bool
	At                     Position
}

// A Rule is what a name or pattern asks for.
type Rule struct {
	Name  string
	Rule  scopes.Rule
	Login *Login
	At    Position // of the name
}

// Mistake is what is wrong with a rule of the given kind.
func (r Rule) Mistake(kind Kind, msg string) *Error {
	return &Error{Position: r.At, Path: kind.String() + "." + Shown(r.Name), Msg: msg}
}

// A Login is how the user must have signed in.
type Login struct {
	ACR    []string
	MaxAge time.Duration
	At     Position
}

// Annotated are rules for tools by what they say about themselves. A nil rule says nothing.
type Annotated struct {
	ReadOnly, Destructive, Other *scopes.Rule
	At                           Position
}

// A Position is a place in the file, from 1; columns count bytes.
type Position struct{ Line, Column int }

// An Error is one mistake in a file.
type Error struct {
	Position
	Path string // the members that lead there, joined by dots; for people
	Msg  string
}
