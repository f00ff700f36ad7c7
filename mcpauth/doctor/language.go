package doctor

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/prm"
)

// judgeLanguages looks at the variants of members for people (RFC 9728, Section 2.1), as prm publishes them.
func (v *visit) judgeLanguages(context.Context) {
	if v.document == nil {
		v.skip("no resource metadata was found")
		return
	}
	doc := v.document.Metadata
	if len(doc.Languages) == 0 {
		v.skip("the document has names in one language only, which is fine")
		return
	}
	people := prm.Metadata{
		Resource: "https://resource.invalid", AuthorizationServers: []string{"https://issuer.invalid"}, Languages: doc.Languages,
		ResourceName: doc.ResourceName, ResourceDocumentation: doc.ResourceDocumentation, ResourcePolicyURI: doc.ResourcePolicyURI, ResourceTOSURI: doc.ResourceTOSURI,
	}
	if err := people.Validate(); err != nil {
		v.add(Finding{
			Status: Warn, Cause: "variants", Got: v.quote(strings.ReplaceAll(err.Error(), "prm: ", "")), Clause: "RFC 9728, Section 2.1; BCP 47",
			Cure: "write each language once, by its tag (\"fr\", \"zh-Hant\"), with https URLs, and the plain member beside it: most clients read nothing else",
		})
		return
	}
	v.pass("names and pages in " + v.list(slices.Sorted(maps.Keys(doc.Languages))))
}
