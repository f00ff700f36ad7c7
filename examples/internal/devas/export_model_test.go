package devas

// The model, for tests.

func (s *Server) Servers() []ServerEntry                     { return s.servers() }
func (s *Server) SaveServer(by User, r Resource) error       { return s.saveServer(by, r) }
func (s *Server) RemoveServer(by User, id string) error      { return s.removeServer(by, id) }
func (s *Server) Applications() []Application                { return s.applications() }
func (s *Server) Application(id string) (Application, bool)  { return s.application(id) }
func (s *Server) RemoveApplication(by User, id string) error { return s.removeApplication(by, id) }
func (s *Server) Permit(by User, c, srv string, scopes []string) error {
	return s.permit(by, c, srv, scopes)
}
func (s *Server) Forbid(by User, c, srv string) error          { return s.forbid(by, c, srv) }
func (s *Server) ClearPermission(by User, c, srv string) error { return s.clearPermission(by, c, srv) }
func (s *Server) Grants() []GrantRow                           { return s.grants() }
func (s *Server) RevokeGrants(by User, k GrantKey) int         { return s.revokeGrants(by, k) }
func (s *Server) Issuances() []Issuance                        { return s.issuances() }
func (s *Server) Events() []Event                              { return s.events() }

// Journal gives tests of its bounds access to the log.
type Journal = journal

func (j *journal) Add(e Event) { j.add(e) }
func (j *journal) Len() int    { return len(j.all()) }

// The bounds.
const (
	MaxEvents    = maxEvents
	MaxIssuances = maxIssuances
	MaxTokens    = maxTokens
)
