package devas

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// maxCompletions bounds the remembered approvals; the oldest goes.
const maxCompletions = 1000

// A completion is an approval whose application is a program on the user's device: one with a loopback or private-use redirect URI. There the browser
// shows that access was granted (AS-50) and goes on from that page, because such a program often has no page of its own.
type completion struct {
	target      string // the redirect URI with code, state and iss; it is on no page
	browser     string // digest of the cookie
	application string
	server      string
	user        string
	loopback    bool
	sent        bool // the page sent the browser on by itself once
	expires     time.Time
}

// completions are by the ID of the request. They live as long as an authorization code.
type completions struct {
	mu sync.Mutex
	m  map[string]*completion
}

func (c *completions) save(id string, done *completion, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]*completion{}
	}
	oldest := ""
	for k, v := range c.m {
		if !now.Before(v.expires) {
			delete(c.m, k)
		} else if oldest == "" || v.expires.Before(c.m[oldest].expires) {
			oldest = k
		}
	}
	if len(c.m) >= maxCompletions {
		delete(c.m, oldest)
	}
	c.m[id] = done
}

// get returns a copy of the completion if it is this browser's. markSent remembers that the browser was sent on.
func (c *completions) get(id, browser string, now time.Time, markSent bool) (completion, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := c.m[id]
	if done == nil || !now.Before(done.expires) || subtle.ConstantTimeCompare([]byte(done.browser), []byte(browser)) != 1 {
		return completion{}, false
	}
	found := *done
	done.sent = done.sent || markSent
	return found, true
}

// completionWriter turns the redirect that answers an approval into one to the completion page.
type completionWriter struct {
	http.ResponseWriter
	s    *Server
	id   string // of the request
	done *completion
}

type completionKey struct{}

// completing wraps the writer of a decision and lets [Server.approved] tell it, through the context, what the completion page will say.
func (s *Server) completing(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	if r.Method != http.MethodPost {
		return w, r
	}
	done := &completion{}
	return &completionWriter{ResponseWriter: w, s: s, id: r.PathValue("request"), done: done},
		r.WithContext(context.WithValue(r.Context(), completionKey{}, done))
}

// approved is what the policy calls when the user has approved.
func (s *Server) approved(r *http.Request, v consentView) {
	if done, ok := r.Context().Value(completionKey{}).(*completion); ok {
		cookie, _ := s.readCookie(r, cookieBrowser)
		s.complete(&v)
		*done = completion{browser: digest(cookie), application: v.Application, server: v.Server, user: v.User.display(), loopback: v.Loopback}
	}
}

// Unwrap lets http.ResponseController find the writer.
func (c *completionWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// WriteHeader replaces the target of a successful redirect to a program on the user's device.
func (c *completionWriter) WriteHeader(status int) {
	target := c.Header().Get("Location")
	if c.done.browser != "" && status == http.StatusSeeOther && onDevice(target) {
		if u, err := url.Parse(target); err == nil && u.Query().Get("code") != "" {
			now := c.s.cfg.Now()
			c.done.target, c.done.expires = target, now.Add(codeLifetime)
			c.s.completions.save(c.id, c.done, now)
			c.Header().Set("Location", pathAuthorize+"/"+c.id+"/complete")
		}
	}
	c.ResponseWriter.WriteHeader(status)
}

// onDevice reports whether a redirect stays on the user's device: a loopback address or a private-use scheme.
func onDevice(target string) bool {
	scheme, _, ok := strings.Cut(target, ":")
	if scheme = strings.ToLower(scheme); scheme == "http" || scheme == "https" {
		_, _, ok = splitLoopback(target)
	}
	return ok
}

type completeView struct {
	Application, Server, User string
	Loopback                  bool
	Continue                  string // empty when the application has its answer
	Forward                   string
}

// Frame is the frame of the page.
func (v completeView) Frame() frame {
	return frame{Title: "Authorization Complete", Script: true, Forward: v.Forward}
}

// serveComplete is the page after an approval. It can be loaded again without effect: it holds no code and makes none.
func (s *Server) serveComplete(w http.ResponseWriter, r *http.Request) {
	done, ok := s.completion(w, r, false)
	if !ok {
		return
	}
	v := completeView{Application: done.application, Server: done.server, User: done.user, Loopback: done.loopback}
	if !s.store.redeemed(done.target) {
		v.Continue = pathAuthorize + "/" + r.PathValue("request") + "/continue"
		if !done.sent {
			v.Forward = v.Continue
		}
	}
	s.writePage(w, http.StatusOK, "complete", v, "")
}

// serveContinue takes the answer to the application. It may do so again, where nothing listened or the browser asked first, until the code is redeemed:
// a second use would end the access that was just granted.
func (s *Server) serveContinue(w http.ResponseWriter, r *http.Request) {
	done, ok := s.completion(w, r, true)
	if !ok {
		return
	}
	if s.store.redeemed(done.target) {
		http.Redirect(w, r, pathAuthorize+"/"+r.PathValue("request")+"/complete", http.StatusSeeOther)
		return
	}
	w.Header().Set("Location", done.target)
	w.WriteHeader(http.StatusSeeOther) // no body: http.Redirect would write the code into one
}

func (s *Server) completion(w http.ResponseWriter, r *http.Request, markSent bool) (completion, bool) {
	browser, _ := s.readCookie(r, cookieBrowser)
	done, ok := s.completions.get(r.PathValue("request"), digest(browser), s.cfg.Now(), markSent)
	if !ok {
		s.problem(w, r, describe(errRequestGone))
	}
	return done, ok
}

// redeemed reports whether the code of a redirect was used, or cannot be used any more.
func (s *store) redeemed(target string) bool {
	u, err := url.Parse(target)
	if err != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.grants[s.codes[hide(u.Query().Get("code"))]]
	return rec == nil || rec.grant.AuthCodeConsumedAt != 0 || rec.grant.RevokedAt != 0
}
