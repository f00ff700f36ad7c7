// Package prm publishes OAuth 2.0 protected resource metadata ([RFC 9728]) for MCP servers: the document, the well-known URL that is built
// from the resource identifier, and the handler that serves it.
//
//	handler, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{{
//		Resource:               "https://mcp.example.com/mcp",
//		AuthorizationServers:   []string{"https://login.example.com"},
//		ScopesSupported:        []string{"mcp:read"},
//		BearerMethodsSupported: []string{"header"},
//		ResourceName:           "Example MCP",
//	}}})
//	if err != nil {
//		log.Fatal(err)
//	}
//	mux.Handle(prm.WellKnownPrefix, handler)
//	mux.Handle(prm.WellKnownPrefix+"/", handler)
//
// Clients compare the document's resource with the URL that a person typed, byte for byte (RFC 9728, Section 3.3). Most failures in the field
// are such a difference, so [Metadata.Validate] and [ValidateResource] say what to write instead.
//
// # Identifiers
//
// A resource identifier is an https URL without fragment and user information. It stays as configured in the document and in every URL
// that is built from it; nothing is normalised behind your back. Plain http is accepted on loopback hosts, for development. Spellings that
// clients rewrite before they compare (capital letters in the host, :443, a slash at the end) are reported as warnings.
//
// # Mounting
//
// Mount the handler in front of authentication, Origin checks and CORS middleware: the document is public, must be readable without a token
// and from every web origin, and answers preflight requests itself. The handler compares the whole path of the request, so a router or proxy
// in front of it must not strip or rewrite a part of it. It never looks at Host or X-Forwarded-*: what it publishes comes from the
// configuration alone.
//
// Register both patterns shown above. With only the second one, [http.ServeMux] redirects requests for the root form.
//
// # Several resources
//
// The resources of one host share one handler; each has its own document at its own URL, and no document answers for another resource. Their
// number, and the optional root form for clients that ask nowhere else, are settled in [Config].
//
// # A signature
//
// A document may be signed by the resource, or by somebody who vouches for it: [Signing] says how, [NewHandler] signs anew in time, and
// [Verifier] verifies and compares. Reading a document without asking for that passes over the signature, as RFC 9728, Section 2.2 allows.
//
// [RFC 9728]: https://www.rfc-editor.org/rfc/rfc9728
package prm
