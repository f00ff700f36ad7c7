// Package scopes decides whether a caller may do something, from the OAuth scopes (RFC 6749, Section 3.3) and the roles that the
// caller's token grants. It knows no HTTP and nothing but the standard library: everything here is a value.
//
// A [Rule] stands beside what it protects:
//
//	scopes.All("files:read")
//	scopes.And(scopes.All("files:write"), scopes.Role("editor"))
//
// A [Mapper] turns verified claims into a [Grant], [Rule.Met] decides, and [Rule.Challenge] names the scopes to ask for when the
// answer is no.
//
// # What is not said is denied
//
// The zero Rule is met by no one. So are All, Any, Role, And and Or without arguments, and every And that holds a zero Rule; a
// list of scopes that is empty by accident opens nothing. The zero Grant, which stands for no caller, meets no rule, not even
// Authenticated. Rules can only ask for what a caller holds, never for what a caller lacks: a further scope or role never takes
// anything away, and a claim that is missing or malformed never gives anything.
//
// # One of several, or all of them
//
// All asks for every scope, Any for one of them. Role with several names is met by one of them; where two roles are needed,
// write And(Role("a"), Role("b")).
//
// # Refusals that a step-up cures, and others
//
// A client can ask its authorization server for more scopes, but not for roles. [Rule.Obtainable] tells the two apart: where it
// is false, no scope helps, and a challenge that names one sends the client in circles.
//
// # Names
//
// Scopes and roles are compared whole and with case, without patterns. A broader scope stands for a narrower one only where
// [Mapper] says so. A name that could never be one panics where the rule is made, at start-up rather than in a refusal.
//
// # Claims
//
// Rights come from the claims that the Mapper names and from no others. A scope claim is split on the space and on nothing else;
// a role claim is not split at all; an array with one element that is not a string grants nothing. A claim that the token says
// is elsewhere, as with too many groups, is unknown: it grants nothing, and [Grant.Unknown] names it.
//
// # Rules as text
//
// Every Rule prints as one line and reads back as itself, so rules can be kept in configuration files and compared in logs:
//
//	files:write and (admin or role(editor))
//
// [Parse] describes the grammar.
package scopes
