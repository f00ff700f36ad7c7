package mcpauthtest_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// claims returns the members of a proof's second part, without those that differ each time.
func claims(proof string) map[string]any {
	var c map[string]any
	part, err := base64.RawURLEncoding.DecodeString(strings.Split(proof, ".")[1])
	if err != nil || json.Unmarshal(part, &c) != nil {
		log.Fatal("a broken proof")
	}
	delete(c, "jti")
	delete(c, "iat")
	return c
}

// A client that knows only bearer tokens logs in and calls, and the transport makes DPoP of it. The
// resource asks for a nonce once.
func ExampleDPoPTransport() {
	authorizationServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("token request with a proof:", r.Header.Get("DPoP") != "")
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"s3cr3t","token_type":"DPoP"}`)
	}))
	defer authorizationServer.Close()
	resource := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		nonce := claims(r.Header.Get("DPoP"))["nonce"]
		fmt.Println("call under", scheme, "with nonce", nonce)
		if nonce == nil {
			w.Header().Set("DPoP-Nonce", "n-1")
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce", algs="ES256"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer resource.Close()

	key, err := mcpauthtest.NewDPoPKey("") // ES256
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &mcpauthtest.DPoPTransport{Key: key}}

	res, err := client.PostForm(authorizationServer.URL, url.Values{"grant_type": {"client_credentials"}})
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&token); err != nil {
		log.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, resource.URL, strings.NewReader("{}"))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Access)
	res, err = client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode)
	// Output:
	// token request with a proof: true
	// call under DPoP with nonce <nil>
	// call under DPoP with nonce n-1
	// 200
}

// A token that a test has minted itself has to be made known.
func ExampleDPoPTransport_Bind() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("Authorization"), r.Header.Get("DPoP") != "")
	}))
	defer server.Close()
	key, err := mcpauthtest.NewDPoPKey("")
	if err != nil {
		log.Fatal(err)
	}
	transport := &mcpauthtest.DPoPTransport{Key: key}
	call := func() {
		req, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer minted") // with cnf.jkt = key.Thumbprint()
		res, err := transport.RoundTrip(req)
		if err != nil {
			log.Fatal(err)
		}
		res.Body.Close()
	}
	call()
	transport.Bind("minted")
	call()
	// Output:
	// Bearer minted false
	// DPoP minted true
}

// A server must refuse a proof that names another method. Here is one in the middle of a real client.
func ExampleDPoPTransport_edit() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if claims(r.Header.Get("DPoP"))["htm"] != r.Method { // stands for the server under test
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	key, err := mcpauthtest.NewDPoPKey("")
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &mcpauthtest.DPoPTransport{Key: key, Edit: func(_ *http.Request, p *mcpauthtest.DPoPProof) {
		p.Claims["htm"] = "PATCH"
	}}}
	req, err := http.NewRequest(http.MethodGet, server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "DPoP a-token")
	res, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	res.Body.Close()
	fmt.Println(res.StatusCode)
	// Output: 401
}

func ExampleNewDPoPKeyFrom() {
	// The key of RFC 8037, Appendix A.
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		log.Fatal(err)
	}
	key, err := mcpauthtest.NewDPoPKeyFrom("", ed25519.NewKeyFromSeed(seed))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.Algorithm())
	fmt.Println(key.Thumbprint())
	// Output:
	// EdDSA
	// kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k
}

// One member is wrong, all others and the signature are right: a server that accepts this does not
// check it.
func ExampleDPoPKey_NewProof() {
	key, err := mcpauthtest.NewDPoPKey("ES384")
	if err != nil {
		log.Fatal(err)
	}
	proof := key.NewProof("POST", "https://mcp.example.com/mcp?x=y", "token", "")
	fmt.Println(slices.Sorted(maps.Keys(proof.Claims)))
	proof.Claims["htu"] = "https://other.example.com/mcp"
	delete(proof.Claims, "ath")
	fmt.Println(claims(key.Sign(proof)))
	// Output:
	// [ath htm htu iat jti]
	// map[htm:POST htu:https://other.example.com/mcp]
}

// Members that occur twice cannot come from a map.
func ExampleDPoPKey_SignParts() {
	key, err := mcpauthtest.NewDPoPKey("")
	if err != nil {
		log.Fatal(err)
	}
	proof := key.SignParts([]byte(`{"typ":"dpop+jwt","alg":"none","alg":"ES256"}`), []byte(`{"htm":"GET"`))
	parts := strings.Split(proof, ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(parts), string(header))
	// Output: 3 {"typ":"dpop+jwt","alg":"none","alg":"ES256"}
}
