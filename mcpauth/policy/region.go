package policy

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Region holds if the lookup says that the peer's address is in one of the regions. What a region is, a
// country, a network or a site, is up to the lookup, and so is the spelling: regions are compared whole
// and with case. Without regions it is the zero Condition.
//
// An empty region means that the lookup does not know, and so it cannot be told. An error means that it
// cannot be told at the moment: 503. The context is that of the request, and nothing is remembered
// between calls. It panics if the lookup is nil or a region is empty.
func Region(lookup func(context.Context, netip.Addr) (string, error), regions ...string) Condition {
	return Proxies{}.Region(lookup, regions...)
}

// Region is [Region] for clients behind these proxies.
func (p Proxies) Region(lookup func(context.Context, netip.Addr) (string, error), regions ...string) Condition {
	p = p.checked("Region")
	if lookup == nil {
		panic("policy: Region: the lookup is nil")
	}
	if slices.Contains(regions, "") {
		panic("policy: Region: a region is empty, which is what a lookup returns for what it does not know")
	}
	if len(regions) == 0 {
		return Condition{}
	}
	regions = slices.Clone(regions)
	return leaf("region("+quoted(regions)+p.text()+")", func(q question) answer {
		client, err := p.Client(q.call)
		if err != nil {
			return doubts(err.Error())
		}
		region, err := lookup(q.ctx, client)
		switch {
		case err != nil:
			return outage(fmt.Errorf("the lookup of %s: %w", client, err))
		case region == "":
			return doubts("the lookup does not know " + client.String())
		}
		if !slices.Contains(regions, region) {
			return fails(client.String() + " is in " + short(region))
		}
		return holds()
	})
}

// quoted lists texts, each of them safe in a line of a log.
func quoted[T any](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprintf("%v", v)
		if s, ok := any(v).(string); ok {
			texts[i] = fmt.Sprintf("%q", s)
		}
	}
	return strings.Join(texts, " ")
}

// short quotes a foreign text for a log.
func short(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%q...", s[:64])
	}
	return fmt.Sprintf("%q", s)
}
