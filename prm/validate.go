package prm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// asymmetric lists the signature algorithms that can be announced: those of RFC 7518, Section 3.1, RFC 8037, RFC 8812 and RFC 9864 whose
// verifier holds no secret. A list of what is allowed keeps out none, HS256 and whatever else is registered later.
var asymmetric = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "Ed448",
}

// Validate reports every reason why the document must not be published, joined; each names the member and what to write instead. It judges as
// MCP does, which is stricter than RFC 9728 in places. Warnings about the spelling of Resource come from [ValidateResource].
func (m *Metadata) Validate() error {
	return named("prm:", m.mistakes())
}

func (m *Metadata) mistakes() error {
	if m == nil {
		return errors.New("metadata is nil; write at least resource and authorization_servers")
	}
	var c checker
	if _, err := parseResource(m.Resource); err != nil {
		c.wrong("resource", err)
	}
	c.issuers(m.AuthorizationServers)
	c.scopes(m.ScopesSupported)
	c.bearer(m.BearerMethodsSupported, m.DPoPBoundAccessTokensRequired)
	c.text("resource_name", m.ResourceName)
	c.page("resource_documentation", m.ResourceDocumentation)
	c.page("resource_policy_uri", m.ResourcePolicyURI)
	c.page("resource_tos_uri", m.ResourceTOSURI)
	c.languages(m)
	c.keys("jwks_uri", m.JWKSURI)
	c.algorithms("resource_signing_alg_values_supported", m.ResourceSigningAlgValuesSupported)
	c.algorithms("dpop_signing_alg_values_supported", m.DPoPSigningAlgValuesSupported)
	c.dpop(len(m.DPoPSigningAlgValuesSupported) > 0, m.DPoPBoundAccessTokensRequired)
	c.details(m.AuthorizationDetailsTypesSupported)
	c.errs = append(c.errs, m.validateExtraNames()...)
	for _, name := range slices.Sorted(maps.Keys(m.Extra)) {
		if _, err := encode(m.Extra[name]); err != nil {
			c.add("extra member "+quote(name), "cannot be written as JSON; write strings, numbers, booleans, slices and maps")
		}
	}
	return errors.Join(c.errs...)
}

// A checker collects the mistakes of one document.
type checker struct{ errs []error }

func (c *checker) add(member, format string, args ...any) {
	c.wrong(member, fmt.Errorf(format, args...))
}

func (c *checker) wrong(member string, err error) { c.errs = append(c.errs, named(member, err)) }

// named puts a name in front of every error that is joined in err, so that each line of the text says what it is about.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s %w", name, err)
	}
	var errs []error
	for _, err := range joined.Unwrap() {
		errs = append(errs, named(name, err))
	}
	return errors.Join(errs...)
}

// each visits the elements of an array member that do not repeat an earlier one.
func (c *checker) each(member string, list []string, check func(at, value string)) {
	for i, value := range list {
		at := fmt.Sprintf("%s[%d]", member, i)
		if slices.Contains(list[:i], value) {
			c.add(at, "repeats an earlier element; write each once")
			continue
		}
		check(at, value)
	}
}

func (c *checker) issuers(list []string) {
	if len(list) == 0 {
		c.add("authorization_servers", "is empty; write the issuer of at least one authorization server (MCP, Authorization Server Location)")
	}
	c.each("authorization_servers", list, func(at, value string) {
		l, err := parseLocation(value)
		if err != nil {
			c.wrong(at, err)
			return
		}
		if l.hasQuery || l.hasHash { // RFC 8414, Section 2
			c.add(at, "has a query or fragment; write the issuer exactly as its own metadata states it")
		}
		if strings.Contains(l.path, "/.well-known/") {
			c.add(at, "is the URL of metadata; write the issuer identifier without the /.well-known/ part")
		}
	})
}

func (c *checker) scopes(list []string) {
	c.each("scopes_supported", list, func(at, value string) {
		switch {
		case value == "":
			c.add(at, "is empty; write a scope or remove it")
		case !all(value, scopeByte):
			c.add(at, "has a character outside RFC 6749, Section 3.3; write one scope per element, in ASCII without space, quote or backslash")
		case value == "offline_access":
			c.add(at, "is offline_access, which MCP keeps out of resource metadata (Refresh Tokens); remove it")
		}
	})
}

func scopeByte(c byte) bool { return '!' <= c && c <= '~' && c != '"' && c != '\\' }

func (c *checker) bearer(list []string, dpopRequired *bool) {
	c.each("bearer_methods_supported", list, func(at, value string) {
		if value != "header" {
			c.add(at, "is %s; write \"header\", the only method that MCP allows", quote(value))
		}
	})
	if len(list) > 0 && dpopRequired != nil && *dpopRequired {
		c.add("bearer_methods_supported", "contradicts dpop_bound_access_tokens_required; leave it out where Bearer tokens are refused")
	}
}

// text refuses what cannot be shown on one line. Length is bounded because consent pages show it.
func (c *checker) text(member, value string) {
	const most = 256
	switch {
	case !utf8.ValidString(value):
		c.add(member, "is not valid UTF-8; write it in UTF-8")
	case strings.ContainsFunc(value, unicode.IsControl):
		c.add(member, "has a control character; write one line of plain text")
	case len(value) > most:
		c.add(member, "is longer than %d bytes; write a shorter name", most)
	}
}

// page checks the URL of a page for people, which may point at a section of it.
func (c *checker) page(member, value string) {
	if value == "" {
		return
	}
	if _, err := parseLocation(value); err != nil {
		c.wrong(member, err)
	}
}

func (c *checker) keys(member, value string) {
	if value == "" {
		return
	}
	l, err := parseLocation(value)
	if err != nil {
		c.wrong(member, err)
	} else if l.hasHash {
		c.add(member, "has a fragment; write the URL without # and what follows")
	}
}

// languages checks the variants. RFC 9728, Section 2.1 only recommends the plain member beside them; it is required here because clients
// that know nothing of tags would show nothing.
func (c *checker) languages(m *Metadata) {
	seen := map[string]bool{}
	for _, tag := range slices.Sorted(maps.Keys(m.Languages)) {
		at := "Languages[" + quote(tag) + "]"
		if !validTag(tag) {
			c.add(at, "is no language tag (BCP 47); write one such as \"fr\" or \"zh-Hant\"")
			continue
		}
		if fold := strings.ToLower(tag); seen[fold] {
			c.add(at, "differs from another tag only in case, which has no meaning; write each language once")
		} else {
			seen[fold] = true
		}
		l := m.Languages[tag]
		if l == (Localized{}) {
			c.add(at, "is empty; write at least one variant or remove it")
		}
		for _, member := range members {
			if member.local == nil || *member.local(&l) == "" {
				continue
			}
			if plain, ok := member.field(m).(*string); ok && *plain == "" {
				c.add(member.name+"#"+tag, "has no plain %s beside it; write that too, for clients that read no tags", member.name)
			}
		}
		c.text("resource_name#"+tag, l.ResourceName)
		c.page("resource_documentation#"+tag, l.ResourceDocumentation)
		c.page("resource_policy_uri#"+tag, l.ResourcePolicyURI)
		c.page("resource_tos_uri#"+tag, l.ResourceTOSURI)
	}
}

func (c *checker) algorithms(member string, list []string) {
	c.each(member, list, func(at, value string) {
		if !slices.Contains(asymmetric, value) {
			c.add(at, "is %s; write asymmetric signature algorithms only: %s", quote(value), strings.Join(asymmetric, ", "))
		}
	})
}

func (c *checker) dpop(offered bool, required *bool) {
	switch {
	case offered && required == nil:
		c.add("dpop_bound_access_tokens_required", "is absent although DPoP is offered; write true or false")
	case !offered && required != nil && *required:
		c.add("dpop_signing_alg_values_supported", "is empty although DPoP is required; write the accepted algorithms, such as ES256")
	}
}

func (c *checker) details(list []string) {
	c.each("authorization_details_types_supported", list, func(at, value string) {
		if value == "" {
			c.add(at, "is empty; write a type or remove it")
		}
		c.text(at, value)
	})
}
