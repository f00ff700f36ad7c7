// Package mcpauthtest holds what tests of a protected MCP server need besides the server. It imports
// nothing but the standard library.
//
// # A client that speaks DPoP
//
// [DPoPTransport] turns an OAuth client that knows only bearer tokens into one that proves possession of
// a key (RFC 9449): put it into the http.Client that gets tokens and makes requests.
//
//	key, err := mcpauthtest.NewDPoPKey("") // ES256
//	client := &http.Client{Transport: &mcpauthtest.DPoPTransport{Key: key}}
//
// The Go SDK's client takes it twice, because it needs one http.Client for the login and one for the
// requests: in auth.AuthorizationCodeHandlerConfig.Client and in mcp.StreamableClientTransport.HTTPClient.
// It must be the same transport in both places: what the first has seen to be bound to the key, the
// second proves. Command dpop-client of the examples does this from login to tool call.
//
// # Bad proofs
//
// A server is tested by what it refuses. [DPoPKey.NewProof] makes the correct proof of a request, whose
// members a test then changes before [DPoPKey.Sign] signs it; [DPoPTransport.Edit] does so to a client's
// proofs as they are made; and [DPoPKey.SignParts] signs any two texts, for what is not even JSON.
//
//	proof := key.NewProof("POST", resource, token, "")
//	proof.Claims["htm"] = "GET"
//	req.Header.Set("Authorization", "DPoP "+token)
//	req.Header.Set("DPoP", key.Sign(proof))
package mcpauthtest
