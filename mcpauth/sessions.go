package mcpauth

import (
	lru "container/list"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

const (
	maxSessions = 65_536
	maxOwned    = 1_024          // of one owner
	sessionIdle = 24 * time.Hour // without a request
)

// sessions remembers whom sessions belong to: to the caller whose answer named the session first (MCP
// 2025-11-25, Security Best Practices, Session Hijacking). It works for every handler; go-sdk's own
// binding is a second line behind it. The zero value is ready to use.
//
// What it knows is bounded. A session that has been idle for a day, or after which maxOwned others of the
// same owner or maxSessions others of anybody were used, is no longer known: an owner who opens too many
// pushes out their own first, and not those of others. Neither is a session known that another process or
// replica saw begin. A request of an unknown session goes to the handler: if the answer names the session,
// as that of many servers does, it belongs to this caller from then on.
type sessions struct {
	mu    sync.Mutex
	known map[sessionKey]*session
	used  lru.List             // of *session: the one used last is in front
	owned map[string]*lru.List // the same for each owner who has one
}

// A sessionKey stands for a session id, which is worth stealing where another door honours it.
type sessionKey [sha256.Size]byte

type session struct {
	key   sessionKey
	owner string // as go-sdk is told: see sessionOwner
	user  string // the same, whatever the client
	last  time.Time

	inUsed, inOwned *lru.Element
}

func keyOf(id string) sessionKey { return sha256.Sum256([]byte(id)) }

// find returns a session that is known, or nil. The mutex is held, as it is for note and forget.
func (s *sessions) find(key sessionKey, now time.Time) *session {
	found := s.known[key]
	if found != nil && now.Sub(found.last) > sessionIdle {
		s.forget(found)
		return nil
	}
	return found
}

// note notes a use of a session.
func (s *sessions) note(x *session, now time.Time) {
	x.last = now
	s.used.MoveToFront(x.inUsed)
	s.owned[x.user].MoveToFront(x.inOwned)
}

func (s *sessions) forget(x *session) {
	delete(s.known, x.key)
	s.used.Remove(x.inUsed)
	own := s.owned[x.user]
	if own.Remove(x.inOwned); own.Len() == 0 {
		delete(s.owned, x.user)
	}
}

// holder returns the user to whom the session belongs, if its owner is not this one. Otherwise it notes
// the use.
func (s *sessions) holder(id, owner string, now time.Time) (user string, another bool) {
	key := keyOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.find(key, now)
	if found == nil {
		return "", false
	}
	if found.owner != owner {
		return found.user, true
	}
	s.note(found, now)
	return "", false
}

// bind gives a session that nobody has to a caller. A session never changes hands, whatever a handler
// answers.
func (s *sessions) bind(id string, p *Principal, perUser bool, now time.Time) {
	key, owner, user := keyOf(id), p.sessionOwner(perUser), p.sessionOwner(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.find(key, now); found != nil {
		if found.owner == owner {
			s.note(found, now) // a stream may have been open for long
		}
		return
	}
	if own := s.owned[user]; own != nil && own.Len() >= maxOwned {
		s.forget(own.Back().Value.(*session))
	}
	for e := s.used.Back(); e != nil; e = s.used.Back() {
		last := e.Value.(*session)
		if s.used.Len() < maxSessions && now.Sub(last.last) <= sessionIdle {
			break
		}
		s.forget(last)
	}
	if s.known == nil {
		s.known, s.owned = make(map[sessionKey]*session), make(map[string]*lru.List)
	}
	if s.owned[user] == nil {
		s.owned[user] = lru.New()
	}
	x := &session{key: key, owner: owner, user: user, last: now}
	x.inUsed, x.inOwned = s.used.PushFront(x), s.owned[user].PushFront(x)
	s.known[key] = x
}

// ending makes a session the first to be forgotten. It is not forgotten at once: whether the handler
// has ended it, or only said that it cannot, is not known here.
func (s *sessions) ending(id string) {
	key := keyOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.known[key]; x != nil {
		s.used.MoveToBack(x.inUsed)
		s.owned[x.user].MoveToBack(x.inOwned)
	}
}

// sessionRefused tells why the session that a request names is not for its caller; an empty reason
// means that it is, or that it is unknown.
func (m *Middleware) sessionRefused(p *Principal, r *http.Request) explanation {
	id := first(r.Header, "Mcp-Session-Id")
	if id == "" {
		return explanation{}
	}
	user, another := m.sessions.holder(id, p.sessionOwner(m.perUser), m.now())
	if !another {
		return explanation{}
	}
	why := explanation{reason: ReasonSessionOfAnother, expected: "the caller who opened the session", got: "another user",
		cure: "each user of an application needs a session of its own; where none shares them, an id has been stolen"}
	if user == p.sessionOwner(true) {
		why.got = "the same user through another client"
		why.cure = "an application that registers anew when it steps up, as the Go SDK's does, needs Config.SessionPerUser; any other has to open a session of its own"
	}
	return why
}

// answered reads from the header of an answer whose session it is. The client may have read it a
// moment before; until then the session is unknown, and nobody else has its id.
func (m *Middleware) answered(h http.Header, req *request) {
	if req.principal == guest {
		return // whoever has no credentials owns nothing
	}
	for _, id := range h["Mcp-Session-Id"] {
		if id != "" {
			m.sessions.bind(id, req.principal, m.perUser, m.now())
		}
	}
	if req.http.method == http.MethodDelete && req.http.session != "" {
		// In a revision without sessions nobody has asked yet whose it is.
		id := req.http.session
		if _, another := m.sessions.holder(id, req.principal.sessionOwner(m.perUser), m.now()); !another {
			m.sessions.ending(id)
		}
	}
}
