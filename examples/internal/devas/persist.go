package devas

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

const (
	stateVersion = 1
	maxState     = 256 << 20
)

// stateFile writes the state to a file: the whole of it each time, to a new file that then takes the old one's place, so that a crash leaves either.
type stateFile struct {
	name string // empty: nothing is kept

	mu      sync.Mutex
	written uint64 // the change that the file holds
}

// savedState is the content of the file. It holds no signing key, no sign-in, no pending request, and secrets as digests only.
type savedState struct {
	Version     int
	Issuer      string // the issuer identifier is in every grant's tokens and in every client's configuration: the file belongs to it
	Servers     []Resource
	Permissions map[string]map[string][]string
	Clients     []savedClient
	Grants      []savedGrant
	Tokens      []*goidc.Token
	Issued      []Issuance
	Events      []numbered
}

type savedClient struct {
	Client   *goidc.Client
	Since    time.Time
	Document bool
}

type savedGrant struct {
	Grant                *goidc.Grant
	Spent                []string `json:",omitempty"`
	LastUsed, TokenUntil time.Time
}

// load reads the file into the empty store and returns the configured servers with those of the file.
func (s *Server) load(list *serverList) (*serverList, error) {
	if s.file.name == "" {
		return list, nil
	}
	state, err := readState(s.file.name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(s.file.name)); err != nil {
			return nil, fmt.Errorf("Config.File %s: its folder cannot be used: %w", s.file.name, err)
		}
		return list, nil
	}
	if err != nil {
		return nil, fmt.Errorf("Config.File %s cannot be used; move it away to begin anew: %w", s.file.name, err)
	}
	if state.Issuer != s.cfg.Issuer {
		return nil, fmt.Errorf("Config.File %s belongs to the issuer %s: listen on that address, or choose another file", s.file.name, state.Issuer)
	}
	for _, r := range state.Servers {
		if _, ok := findResource(list.all, r.Identifier); ok {
			continue // it is configured by now
		}
		if err := checkServer(r, s.cfg.Users); err != nil {
			// The users of Config may have changed. Nobody but the owner it had would be let in by mistake.
			s.cfg.Logger.Warn("an MCP server of the file is left out", "server", r.Identifier, "err", err)
			continue
		}
		list.all = append(list.all, r)
	}
	s.store.restore(state)
	s.journal.restore(state.Events)
	s.file.written = s.store.changes.Load()
	return list, nil
}

func readState(name string) (*savedState, error) {
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file") // opening a named pipe would wait for ever
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxState {
		return nil, errors.New("it is no regular file, or too large")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, errors.New("others can read or write it; chmod 600 if it is yours")
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, err
	}
	var state savedState
	if err := json.Unmarshal(raw, &state); err != nil {
		return nil, errors.New("it is damaged, or was not written by this server")
	}
	if state.Version != stateVersion {
		return nil, fmt.Errorf("it has version %d, this program writes %d", state.Version, stateVersion)
	}
	return &state, nil
}

// restore fills an empty store, in the order of the file.
func (s *store) restore(state *savedState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range state.Clients {
		if c.Client != nil && s.clients[c.Client.ID] == nil && len(s.clients) < maxClients {
			s.clients[c.Client.ID] = &clientRecord{client: c.Client, seq: s.next(), since: c.Since, document: c.Document}
		}
	}
	if state.Permissions != nil {
		s.permissions = state.Permissions
	}
	for _, g := range state.Grants {
		if g.Grant == nil {
			continue
		}
		s.grants[g.Grant.ID] = &grantRecord{grant: g.Grant, seq: s.next(), spent: g.Spent, lastUsed: g.LastUsed, tokenUntil: g.TokenUntil}
		if g.Grant.AuthCode != "" {
			s.codes[g.Grant.AuthCode] = g.Grant.ID
		}
		if g.Grant.RefreshToken != "" {
			s.refresh[g.Grant.RefreshToken] = g.Grant.ID
		}
		for _, t := range g.Spent {
			s.spent[t] = g.Grant.ID
		}
	}
	for _, t := range state.Tokens {
		if t != nil {
			s.opaque[t.ID] = t
		}
	}
	s.issued = state.Issued
}

// snapshot copies what is written, in order of arrival, without what is dead anyway.
func (s *store) snapshot(state *savedState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	type ordered[T any] struct {
		seq uint64
		v   T
	}
	bySeq := func(a, b uint64) int {
		if a < b {
			return -1
		}
		return 1
	}
	var clients []ordered[savedClient]
	for _, rec := range s.clients {
		if rec.bound == nil {
			clients = append(clients, ordered[savedClient]{rec.seq, savedClient{cloneClient(rec.client), rec.since, rec.document}})
		}
	}
	slices.SortFunc(clients, func(a, b ordered[savedClient]) int { return bySeq(a.seq, b.seq) })
	for _, c := range clients {
		state.Clients = append(state.Clients, c.v)
	}
	var grants []ordered[savedGrant]
	for _, rec := range s.grants {
		if rec.grant.AuthCode != "" && rec.grant.AuthCodeConsumedAt == 0 {
			continue // the code ends with the process
		}
		// A revoked grant is kept as long as a token of it could be shown; unknown grants are inactive as well.
		if rec.alive(now) || rec.grant.RevokedAt != 0 && now.Before(rec.tokenUntil) {
			grants = append(grants, ordered[savedGrant]{rec.seq, savedGrant{cloneGrant(rec.grant), slices.Clone(rec.spent), rec.lastUsed, rec.tokenUntil}})
		}
	}
	slices.SortFunc(grants, func(a, b ordered[savedGrant]) int { return bySeq(a.seq, b.seq) })
	for _, g := range grants {
		state.Grants = append(state.Grants, g.v)
	}
	for _, t := range s.opaque {
		if now.Unix() < int64(t.ExpiresAt) {
			state.Tokens = append(state.Tokens, cloneToken(t))
		}
	}
	state.Permissions = map[string]map[string][]string{}
	for client, servers := range s.permissions {
		state.Permissions[client] = map[string][]string{}
		for server, scopes := range servers {
			state.Permissions[client][server] = append([]string{}, scopes...)
		}
	}
	state.Issued = slices.Clone(s.issued)
}

// save writes the file if something has changed. It runs at the end of each request, before the last of the answer leaves.
func (s *Server) save() {
	if s.file.name == "" {
		return
	}
	s.file.mu.Lock()
	defer s.file.mu.Unlock()
	change := s.store.changes.Load()
	if change == s.file.written {
		return
	}
	state := savedState{Version: stateVersion, Issuer: s.cfg.Issuer, Events: s.journal.all()}
	list := s.list.Load()
	for _, r := range list.all[list.configured:] {
		state.Servers = append(state.Servers, cloneResource(r))
	}
	s.store.snapshot(&state)
	if err := writeState(s.file.name, &state); err != nil {
		s.cfg.Logger.Error("the state could not be written", "file", s.file.name, "err", err)
		return
	}
	s.file.written = change
}

func writeState(name string, state *savedState) error {
	raw, err := json.Marshal(state)
	if err != nil {
		return err
	}
	if len(raw) >= maxState {
		return errors.New("the state is too large to be read again")
	}
	dir, base := filepath.Split(name)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, base+".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
