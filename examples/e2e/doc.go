// Package e2e holds the end-to-end tests: the example programs authserver and resource-server as
// processes, and real clients in front of them, the Go SDK's and two generations of the TypeScript
// SDK's. Nothing of this library takes part on the client's side.
//
//	npm ci --prefix examples/e2e/ts
//	go -C examples test -tags e2e ./e2e/...
//
// They need Node.js 20 or later and fail without it. The build tag keeps them out of go test ./...,
// which needs no network and no second language.
package e2e
