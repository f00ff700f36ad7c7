package devas

import "time"

// This file is the model that the pages for administrators and for people's own grants are built on. Every method is safe for concurrent use, returns
// copies, and takes effect at once. Methods that change something take the user who asks; whether that user may is for the caller to check first, with
// administrator. Foreign text (names of applications) comes as it was sent: pages clean it.
//
//	servers, server, saveServer, removeServer     MCP servers             servers.go
//	access                                        may a user use one?     servers.go
//	applications, application, removeApplication  applications            applications.go
//	permit, forbid, allowedScopes                 their scopes per server applications.go
//	grants, revokeGrants                          what users approved     ledger.go
//	issuances                                     access tokens           ledger.go
//	events                                        the log                 journal.go

// An Origin says how an application came to be known.
type Origin string

// The origins of an application.
const (
	OriginConfigured Origin = "configured" // Config.Clients
	OriginRegistered Origin = "registered" // dynamic registration: nobody has verified its name
	OriginDocument   Origin = "document"   // a client ID metadata document: the host in its ID vouches for it
)

// An Application is an OAuth client as administrators see it.
type Application struct {
	ID, Name     string
	Origin       Origin
	RedirectURIs []string
	GrantTypes   []string
	AuthMethod   string    // none, client_secret_basic, client_secret_post, "client_secret_basic or client_secret_post", or private_key_jwt
	Since        time.Time // of registration, or when the document was first read; zero for a configured one
	// Permissions are what was granted explicitly, by server identifier. A server that is missing here is left to the configuration and the mode of the
	// server; an empty list is an explicit refusal. allowedScopes gives the outcome.
	Permissions map[string][]string
}

// A GrantKey identifies a row of the grants page. User is the client ID where an application acts for itself.
type GrantKey struct {
	User, Client, Server string
}

// A GrantRow is everything that one user has approved for one application at one server and that still lives.
type GrantRow struct {
	GrantKey
	ClientName, ServerName string   // empty if unknown by now
	Scopes                 []string // of all grants of this row together, sorted
	Count                  int      // grants in this row
	Since, LastUsed        time.Time
	Refresh                bool // some grant of the row has a refresh token
	Bound                  bool // some grant of the row is bound to a DPoP key
}

// An Issuance is one access token, as much of it as may be shown.
type Issuance struct {
	At, Expires  time.Time
	Subject      string
	Client       string
	Server       string
	Scope        string
	TokenType    string // Bearer or DPoP
	Opaque       bool   // a random string, not a JWT
	Grant        string // identifier of the grant
	GrantRevoked bool   // the token, if a JWT, works at servers that do not introspect until it expires
}

// The kinds of [Event]. Refused ones have OK false.
const (
	EventConsentGranted    = "consent_granted"
	EventConsentDenied     = "consent_denied"  // by the user
	EventConsentRefused    = "consent_refused" // by this server
	EventTokenIssued       = "token_issued"
	EventTokenRefused      = "token_refused"
	EventTokenRevoked      = "token_revoked"
	EventRevocationRefused = "revocation_refused"
	EventClientRegistered  = "client_registered"
	EventClientRefused     = "client_refused" // a registration or a metadata document
	EventClientRemoved     = "client_removed"
	EventServerSaved       = "server_saved"
	EventServerRemoved     = "server_removed"
	EventPermissionSaved   = "permission_saved"
	EventPermissionRemoved = "permission_removed"
	EventSignedIn          = "signed_in"
	EventSignedOut         = "signed_out"
)

// An Event is an entry of the log. What does not apply is empty. Detail is a short English text without tokens, codes or parameters of requests.
type Event struct {
	At     time.Time
	Kind   string
	OK     bool
	User   string // whose grant it is, or who did it
	Client string
	Server string
	Scope  string
	Detail string
}

// An accessVerdict says whether a user may use a server at all, whatever the scopes. The zero value is a refusal.
type accessVerdict int

const (
	accessDenied     accessVerdict = iota // not on the list
	accessOwnersOnly                      // somebody else's server: "You can only authorize connections to servers you created."
	accessGranted
)
