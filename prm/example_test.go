package prm_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/go-mcpauth/sdk/prm"
)

func ExampleNewHandler() {
	handler, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{{
		Resource:               "https://mcp.example.com/mcp",
		AuthorizationServers:   []string{"https://login.example.com"},
		ScopesSupported:        []string{"mcp:read"},
		BearerMethodsSupported: []string{"header"},
		ResourceName:           "Example MCP",
		Languages:              map[string]prm.Localized{"fr": {ResourceName: "Exemple MCP"}},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(prm.WellKnownPrefix, handler)
	mux.Handle(prm.WellKnownPrefix+"/", handler)

	server := httptest.NewServer(mux)
	defer server.Close()
	resp, err := http.Get(server.URL + "/.well-known/oauth-protected-resource/mcp")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.StatusCode, resp.Header.Get("Content-Type"))
	fmt.Println(string(body))
	// Output:
	// 200 application/json
	// {"resource":"https://mcp.example.com/mcp","authorization_servers":["https://login.example.com"],"scopes_supported":["mcp:read"],"bearer_methods_supported":["header"],"resource_name":"Example MCP","resource_name#fr":"Exemple MCP"}
}

func ExampleWellKnownURL() {
	u, err := prm.WellKnownURL("https://mcp.example.com:8443/team/mcp")
	fmt.Println(u, err)
	// Output:
	// https://mcp.example.com:8443/.well-known/oauth-protected-resource/team/mcp <nil>
}

func ExampleValidateResource() {
	warnings, err := prm.ValidateResource("https://MCP.example.com/mcp")
	fmt.Println(warnings, err)
	// Output:
	// [prm: resource has a host that clients rewrite before they compare; write https://mcp.example.com/mcp] <nil>
}

// A fragment never reaches a server, so it cannot be part of an identifier.
func ExampleValidateResource_incorrect() {
	_, err := prm.ValidateResource("https://mcp.example.com/mcp#tools")
	fmt.Println(err)
	// Output:
	// prm: resource has a fragment, which RFC 9728, Section 1.2 forbids; write the URL without # and what follows
}
