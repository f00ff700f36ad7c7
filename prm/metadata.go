package prm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Metadata is the metadata of one protected resource (RFC 9728, Section 2). The zero value is refused by [Metadata.Validate]: Resource and
// AuthorizationServers are required. Members that hold their zero value are left out of the document (RFC 9728, Section 3.2).
type Metadata struct {
	// Resource (resource) is the identifier: the URL that clients use, byte for byte. Required. See [ValidateResource].
	Resource string

	// AuthorizationServers (authorization_servers) lists the issuer identifiers of the authorization servers (RFC 8414, Section 2), not the
	// URLs of their metadata. RFC 9728 makes it optional; MCP requires at least one.
	AuthorizationServers []string

	// ScopesSupported (scopes_supported) should list the baseline, not every scope: some clients ask for all of them. offline_access is
	// refused, since it is a matter between client and authorization server.
	ScopesSupported []string

	// BearerMethodsSupported (bearer_methods_supported) is ["header"] where Bearer tokens are accepted, and absent where DPoP is required:
	// an empty array would say so too, but must not be written. MCP forbids tokens in query and body, so nothing else is accepted.
	BearerMethodsSupported []string

	// ResourceName (resource_name) is shown to people, for instance on consent pages. Recommended.
	ResourceName string

	// ResourceDocumentation (resource_documentation), ResourcePolicyURI (resource_policy_uri) and ResourceTOSURI (resource_tos_uri) are the
	// URLs of pages for people: developer documentation, use of data, terms of service.
	ResourceDocumentation string
	ResourcePolicyURI     string
	ResourceTOSURI        string

	// Languages holds variants of the four members for people, by language tag (BCP 47), such as "fr" or "zh-Hant". They are written as
	// resource_name#fr and so on (RFC 9728, Section 2.1). The plain member must be set too: most clients read nothing else.
	Languages map[string]Localized

	// JWKSURI (jwks_uri) is the URL of the resource's own public keys, for what the resource signs or decrypts. It is not the jwks_uri of an
	// authorization server; most MCP servers have none.
	JWKSURI string

	// ResourceSigningAlgValuesSupported (resource_signing_alg_values_supported) lists the algorithms of responses that the resource signs.
	ResourceSigningAlgValuesSupported []string

	// DPoPSigningAlgValuesSupported (dpop_signing_alg_values_supported) lists exactly the algorithms accepted in DPoP proofs. Empty means
	// that DPoP is not offered.
	DPoPSigningAlgValuesSupported []string

	// DPoPBoundAccessTokensRequired (dpop_bound_access_tokens_required) says whether Bearer tokens are refused. Required where
	// DPoPSigningAlgValuesSupported is set, false included; nil leaves the member out.
	DPoPBoundAccessTokensRequired *bool

	// TLSClientCertificateBoundAccessTokens (tls_client_certificate_bound_access_tokens) may be true only if the certificate thumbprint in the
	// token is compared with the connection's (RFC 8705, Section 3).
	TLSClientCertificateBoundAccessTokens bool

	// AuthorizationDetailsTypesSupported (authorization_details_types_supported) lists only types that are evaluated (RFC 9396).
	AuthorizationDetailsTypesSupported []string

	// Extra holds further members. A name that this type manages, or that differs from one only in case, is an error, and so is
	// signed_metadata. Empty arrays and nulls are left out. Numbers that were read from a document are [json.Number].
	Extra map[string]any
}

// Localized is one language's variant of the members for people. Fields left empty have no variant.
type Localized struct {
	ResourceName          string
	ResourceDocumentation string
	ResourcePolicyURI     string
	ResourceTOSURI        string
}

// A member ties a wire name to its field. The one table below drives encoding, decoding and the check of Extra.
type member struct {
	name  string
	field func(*Metadata) any      // a *string, *[]string, *bool or **bool
	local func(*Localized) *string // nil for members without language variants
}

// members stands in the order in which the document is written.
var members = []member{
	{name: "resource", field: func(m *Metadata) any { return &m.Resource }},
	{name: "authorization_servers", field: func(m *Metadata) any { return &m.AuthorizationServers }},
	{name: "scopes_supported", field: func(m *Metadata) any { return &m.ScopesSupported }},
	{name: "bearer_methods_supported", field: func(m *Metadata) any { return &m.BearerMethodsSupported }},
	{
		name:  "resource_name",
		field: func(m *Metadata) any { return &m.ResourceName },
		local: func(l *Localized) *string { return &l.ResourceName },
	},
	{
		name:  "resource_documentation",
		field: func(m *Metadata) any { return &m.ResourceDocumentation },
		local: func(l *Localized) *string { return &l.ResourceDocumentation },
	},
	{
		name:  "resource_policy_uri",
		field: func(m *Metadata) any { return &m.ResourcePolicyURI },
		local: func(l *Localized) *string { return &l.ResourcePolicyURI },
	},
	{
		name:  "resource_tos_uri",
		field: func(m *Metadata) any { return &m.ResourceTOSURI },
		local: func(l *Localized) *string { return &l.ResourceTOSURI },
	},
	{name: "jwks_uri", field: func(m *Metadata) any { return &m.JWKSURI }},
	{name: "resource_signing_alg_values_supported", field: func(m *Metadata) any { return &m.ResourceSigningAlgValuesSupported }},
	{name: "dpop_signing_alg_values_supported", field: func(m *Metadata) any { return &m.DPoPSigningAlgValuesSupported }},
	{name: "dpop_bound_access_tokens_required", field: func(m *Metadata) any { return &m.DPoPBoundAccessTokensRequired }},
	{name: "tls_client_certificate_bound_access_tokens", field: func(m *Metadata) any { return &m.TLSClientCertificateBoundAccessTokens }},
	{name: "authorization_details_types_supported", field: func(m *Metadata) any { return &m.AuthorizationDetailsTypesSupported }},
}

// signedMetadata is the member of RFC 9728, Section 2.2. Its claims must equal the plain members, which an Extra value cannot promise.
const signedMetadata = "signed_metadata"

// reserved returns the managed name that an extra member of this name would stand for or be mistaken for, or "". Case is folded because
// encoding/json, which many clients use, folds it: a member "Resource" behind "resource" would win there.
func reserved(name string) string {
	if strings.EqualFold(name, signedMetadata) {
		return signedMetadata
	}
	base, _, tagged := strings.Cut(name, "#")
	for i := range members {
		if strings.EqualFold(name, members[i].name) || tagged && members[i].local != nil && strings.EqualFold(base, members[i].name) {
			return members[i].name
		}
	}
	return ""
}

// MarshalJSON writes the document: managed members in the order of RFC 9728, Section 2, each followed by its language variants sorted by
// tag, then Extra sorted by name. Equal values give equal bytes. It refuses only names that would make a member appear twice; see
// [Metadata.Validate] for the rest.
func (m Metadata) MarshalJSON() ([]byte, error) {
	if err := errors.Join(m.validateExtraNames()...); err != nil {
		return nil, named("prm:", err)
	}
	tags := slices.Sorted(maps.Keys(m.Languages))
	for _, tag := range tags {
		if !utf8.ValidString(tag) { // JSON would turn different broken tags into one
			return nil, fmt.Errorf("prm: Languages[%s] is not valid UTF-8; write a language tag", quote(tag))
		}
	}
	var e encoder
	for _, member := range members {
		switch v := member.field(&m).(type) {
		case *string:
			e.member(member.name, *v, *v != "")
		case *[]string:
			e.member(member.name, *v, len(*v) > 0) // RFC 9728, Section 3.2: zero elements MUST be omitted
		case *bool:
			e.member(member.name, *v, *v)
		case **bool:
			e.member(member.name, *v, *v != nil)
		}
		if member.local == nil {
			continue
		}
		for _, tag := range tags {
			l := m.Languages[tag]
			v := *member.local(&l)
			e.member(member.name+"#"+tag, v, v != "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Extra)) {
		e.member(name, m.Extra[name], true)
	}
	return e.object()
}

// validateExtraNames reports names in Extra that collide with managed members.
func (m *Metadata) validateExtraNames() (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(m.Extra)) {
		switch managed := reserved(name); {
		case managed == signedMetadata:
			errs = append(errs, fmt.Errorf("extra member %s: signed metadata cannot be published this way; remove it", quote(name)))
		case managed != "":
			errs = append(errs, fmt.Errorf("extra member %s collides with %s; set the field for that member instead", quote(name), managed))
		case name == "" || !utf8.ValidString(name):
			errs = append(errs, fmt.Errorf("extra member %s: a name must be non-empty UTF-8", quote(name)))
		}
	}
	return errs
}

// An encoder writes one JSON object member by member.
type encoder struct {
	buf  bytes.Buffer
	errs []error
}

func (e *encoder) member(name string, value any, present bool) {
	if !present {
		return
	}
	text, err := encode(value)
	if err != nil {
		e.errs = append(e.errs, fmt.Errorf("prm: %s cannot be written as JSON: %w", quote(name), err))
		return
	}
	if s := string(text); s == "[]" || s == "null" { // only Extra comes to this
		return
	}
	key, err := encode(name)
	if err != nil {
		e.errs = append(e.errs, err)
		return
	}
	if e.buf.Len() > 0 {
		e.buf.WriteByte(',')
	}
	e.buf.Write(key)
	e.buf.WriteByte(':')
	e.buf.Write(text)
}

func (e *encoder) object() ([]byte, error) {
	if err := errors.Join(e.errs...); err != nil {
		return nil, err
	}
	return slices.Concat([]byte{'{'}, e.buf.Bytes(), []byte{'}'}), nil
}

// encode is json.Marshal without HTML escapes, so that an & in an identifier reads as itself.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}

// quote makes a name or value of unknown origin fit for an error message.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%.*q...", most, s)
	}
	return fmt.Sprintf("%q", s)
}
