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
	sessionIdle = 24 * time.Hour // without a request
)

// sessions remembers whom sessions belong to: to the caller whose answer named the session first (MCP
// 2025-11-25, Security Best Practices, Session Hijacking). It works for every handler; go-sdk's own
// binding is a second line behind it. The zero value is ready to use.
//
// What it knows is bounded. A session that has been idle for a day, or that maxSessions others were used
// after, is no longer known, and neither is one that another process or replica saw begin. A request
// of an unknown session goes to the handler: if the answer names the session, as that of many servers
// does, it belongs to this caller from then on.
type sessions struct {
	mu    sync.Mutex
	known map[sessionKey]*lru.Element
	used  lru.List // of *session: the one used last is in front
}

// A sessionKey stands for a session id, which is worth stealing where another door honours it.
type sessionKey [sha256.Size]byte

type session struct {
	key   sessionKey
	owner string // as go-sdk is told: see sessionOwner
	user  string // the same, whatever the client
	last  time.Time
}

func keyOf(id string) sessionKey { return sha256.Sum256([]byte(id)) }

// find returns a session that is known. The mutex is held.
func (s *sessions) find(key sessionKey, now time.Time) (*lru.Element, *session) {
	e, ok := s.known[key]
	if !ok {
		return nil, nil
	}
	found := e.Value.(*session)
	if now.Sub(found.last) > sessionIdle {
		s.forget(e)
		return nil, nil
	}
	return e, found
}

func (s *sessions) forget(e *lru.Element) {
	delete(s.known, e.Value.(*session).key)
	s.used.Remove(e)
}

// holder returns the user to whom the session belongs, if its owner is not this one. Otherwise it notes
// the use.
func (s *sessions) holder(id, owner string, now time.Time) (user string, another bool) {
	key := keyOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, found := s.find(key, now)
	if found == nil {
		return "", false
	}
	if found.owner != owner {
		return found.user, true
	}
	found.last = now
	s.used.MoveToFront(e)
	return "", false
}

// bind gives a session that nobody has to a caller. A session never changes hands, whatever a handler
// answers.
func (s *sessions) bind(id string, p *Principal, perUser bool, now time.Time) {
	key, owner := keyOf(id), p.sessionOwner(perUser)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, found := s.find(key, now); found != nil {
		if found.owner == owner {
			found.last = now // a stream may have been open for long
			s.used.MoveToFront(e)
		}
		return
	}
	for e := s.used.Back(); e != nil; e = s.used.Back() {
		if s.used.Len() < maxSessions && now.Sub(e.Value.(*session).last) <= sessionIdle {
			break
		}
		s.forget(e)
	}
	if s.known == nil {
		s.known = make(map[sessionKey]*lru.Element)
	}
	s.known[key] = s.used.PushFront(&session{key: key, owner: owner, user: p.sessionOwner(true), last: now})
}

// ending makes a session the first to be forgotten. It is not forgotten at once: whether the handler
// has ended it, or only said that it cannot, is not known here.
func (s *sessions) ending(id string) {
	key := keyOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.known[key]; ok {
		s.used.MoveToBack(e)
	}
}

// sessionRefused tells why the session that a request names is not for its caller; an empty reason
// means that it is, or that it is unknown.
func (m *Middleware) sessionRefused(p *Principal, r *http.Request) explanation {
	id := r.Header.Get("Mcp-Session-Id")
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
	for _, id := range h["Mcp-Session-Id"] {
		if id != "" {
			m.sessions.bind(id, req.principal, m.perUser, m.now())
		}
	}
	if req.http.Method == http.MethodDelete {
		// In a revision without sessions nobody has asked yet whose it is.
		id := req.http.Header.Get("Mcp-Session-Id")
		if _, another := m.sessions.holder(id, req.principal.sessionOwner(m.perUser), m.now()); !another {
			m.sessions.ending(id)
		}
	}
}
