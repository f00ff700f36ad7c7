// This file joins the main.go of go-sdk's everything-server when the conformance test builds it.
package main

import (
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

var issuer = flag.String("issuer", "", "URL of the authorization server")

func protected(server *mcp.Server, handler http.Handler) http.Handler {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "http://" + *httpAddr + "/mcp",
		Issuers:  []mcpauth.Issuer{{URL: *issuer}},
		Unlisted: scopes.Authenticated(),
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		log.Fatal(err)
	}
	auth.Protect(server)
	mux := http.NewServeMux()
	auth.Mount(mux, handler)
	return mux
}
