//go:build unix

package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"time"

	auth0 "github.com/auth0/go-jwt-middleware/v3"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/bench/internal/peers"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A serverConfig is the first line that a server is sent. It answers with its URL, and every further line
// with what it has used.
type serverConfig struct {
	Kind    string
	Key     []byte // the issuer's ES256 key, as PKIX
	Profile string // file; empty: none
}

func serve(in io.Reader, out io.Writer) (err error) {
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	var cfg serverConfig
	if err := decoder.Decode(&cfg); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String() + "/mcp"
	handler, err := handlerOf(cfg, url)
	if err := answer(encoder, url, err); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if cfg.Profile != "" {
		file, err := os.Create(cfg.Profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, file.Close())
		}()
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	defer server.Close()
	go server.Serve(listener) // ends with Close
	for {
		var line struct{}
		if err := decoder.Decode(&line); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		used, err := processUsage()
		if err := answer(encoder, used, err); err != nil {
			return err
		}
	}
}

// The kinds of servers.
const (
	unprotected   = "unprotected"
	mcpauthBearer = "mcpauth-bearer"
	mcpauthDPoP   = "mcpauth-dpop"
	sdkBearer     = "go-sdk-bearer"
	auth0Bearer   = "auth0-bearer"
	auth0DPoP     = "auth0-dpop"
)

func handlerOf(cfg serverConfig, url string) (http.Handler, error) {
	public, err := x509.ParsePKIXPublicKey(cfg.Key)
	if err != nil {
		return nil, err
	}
	key := peers.Key{Algorithm: "ES256", Public: public}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	bare := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	mode := mcpauth.DPoPOff
	switch cfg.Kind {
	case mcpauthDPoP:
		mode = mcpauth.DPoPRequired
		fallthrough
	case mcpauthBearer:
		m, err := key.MCPAuth(url, mode, 0)
		if err != nil {
			return nil, err
		}
		mcpauth.AddTool(m, server, tool, write, scopes.All(peers.Scope))
		return m.Wrap(bare), nil
	}
	mcp.AddTool(server, tool, write)
	switch cfg.Kind {
	case unprotected:
		return bare, nil
	case sdkBearer:
		return key.SDK(url, bare), nil
	case auth0Bearer:
		return key.Auth0(url, auth0.DPoPDisabled, bare)
	case auth0DPoP:
		return key.Auth0(url, auth0.DPoPRequired, bare)
	}
	return nil, fmt.Errorf("no kind of server is called %q", cfg.Kind)
}

var tool = &mcp.Tool{Name: "write_note", Description: "Writes a note."}

type note struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// written is in every good answer.
const written = "the note was written"

func write(context.Context, *mcp.CallToolRequest, note) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: written}}}, nil, nil
}
