package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// longest is the longest life of a token of the issuer: a revocation must not end before the token does.
const longest = 24 * time.Hour

// revoker takes tokens back: POST {"jti": "..."}, or sid, sub or client_id. It answers 204 once no replica accepts
// them any more, and 503 where that is not certain: then try again.
//
// Any process of this machine can ask it. A real one would know who is asking: put it behind a login, and write down
// who revoked what.
func revoker(revocations *mcpauth.Revocations, issuer, host string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		// Pages in a browser on this machine can reach loopback, too, under a name of their own.
		if r.Host != host || r.Header.Get("Content-Type") != "application/json" {
			http.Error(w, "write JSON to this very address", http.StatusForbidden)
			return
		}
		var in struct {
			JWTID     string `json:"jti"`
			SessionID string `json:"sid"`
			Subject   string `json:"sub"`
			ClientID  string `json:"client_id"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil {
			http.Error(w, "write a JSON object", http.StatusBadRequest)
			return
		}
		what := mcpauth.Revocation{Issuer: issuer, JWTID: in.JWTID, SessionID: in.SessionID, Subject: in.Subject, ClientID: in.ClientID, Until: time.Now().Add(longest)}
		if in.JWTID == "" {
			// A user or an application may sign in anew at once; tokens of this very second go, too.
			what.IssuedBefore = time.Now().Add(time.Second)
		}
		named := 0
		for _, name := range []string{in.JWTID, in.SessionID, in.Subject, in.ClientID} {
			if name != "" {
				named++
			}
		}
		if named != 1 {
			http.Error(w, "write one of jti, sid, sub and client_id", http.StatusBadRequest)
			return
		}
		if err := revocations.Revoke(r.Context(), what); err != nil {
			http.Error(w, "nothing is certain; try again", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return http.NewCrossOriginProtection().Handler(mux)
}
