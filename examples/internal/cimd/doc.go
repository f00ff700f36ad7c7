// Package cimd fetches client ID metadata documents: an OAuth client may be identified by an https URL at which its metadata is published
// (draft-ietf-oauth-client-id-metadata-document), which MCP recommends over dynamic registration.
//
// The URL comes from whoever opens the authorization endpoint, so a fetch is a request that a stranger makes this machine send (server-side request
// forgery). Hence:
//
//   - The address is judged when the connection is made, after the name was resolved, so a name that resolves differently the second time gains nothing.
//     Only global unicast addresses are connected to: see [Public].
//   - There are no redirects, no proxies, no cookies and no credentials, and only https is spoken.
//   - Time, size, concurrency and rate are limited. Requests for one document are merged.
//   - What came is never shown to anybody: errors name the host and what was wrong in words of this package.
//
// Good documents are cached as long as their HTTP headers say, within bounds; errors and bad documents never are.
package cimd
