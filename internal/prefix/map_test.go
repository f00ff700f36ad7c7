package prefix_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/prefix"
)

func TestMap(t *testing.T) {
	var m prefix.Map[int]
	_, _, ok := m.Longest("")
	require.False(t, ok, "the zero Map is empty")
	require.Empty(t, slices.Collect(m.All("a")))
	_, ok = m.Get("")
	require.False(t, ok)

	for i, p := range []string{"ab", "abcd", "b", "xy", "a"} {
		m.Set(p, i)
	}
	for _, tt := range []struct {
		name, longest string
		all           []int
	}{
		{"abcde", "abcd", []int{4, 0, 1}},
		{"abcd", "abcd", []int{4, 0, 1}},
		{"abc", "ab", []int{4, 0}},
		{"aXcd", "a", []int{4}},
		{"xy", "xy", []int{3}},
		{"x", "", nil},
		{"", "", nil},
		{"Abcd", "", nil},
	} {
		longest, value, ok := m.Longest(tt.name)
		require.Equal(t, tt.longest, longest, tt.name)
		require.Equal(t, len(tt.all) > 0, ok, tt.name)
		require.Equal(t, tt.all, slices.Collect(m.All(tt.name)), tt.name)
		if ok {
			require.Equal(t, tt.all[len(tt.all)-1], value, tt.name)
		}
	}
	for v := range m.All("abcd") { // can be left
		require.Equal(t, 4, v)
		break
	}

	m.Set("", 9)
	longest, value, ok := m.Longest("zzz")
	require.Equal(t, []any{"", 9, true}, []any{longest, value, ok})
	m.Set("ab", 7)
	require.Equal(t, []int{9, 4, 7, 1}, slices.Collect(m.All("abcd")), "set anew")
	value, ok = m.Get("ab")
	require.Equal(t, []any{7, true}, []any{value, ok})
	_, ok = m.Get("abc")
	require.False(t, ok)
	require.Equal(t, 6, m.Len())
	require.Equal(t, []string{"", "a", "ab", "abcd", "b", "xy"}, slices.Sorted(m.Prefixes()))
}

// A look-up takes no memory: there is one in each request.
func TestLongestAllocatesNothing(t *testing.T) {
	var m prefix.Map[int]
	m.Set("tools/", 1)
	m.Set("tools/call ", 2)
	sum := 0
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, v, _ := m.Longest("tools/call x")
		sum += v
		for v := range m.All("tools/call x") {
			sum += v
		}
	}))
	require.NotZero(t, sum)
}

// A Map finds what a walk through all prefixes finds.
func FuzzMap(f *testing.F) {
	f.Add("a,ab,abc,,b", "abd")
	f.Add("", "")
	f.Add("x,x,xx", "xxx")
	f.Fuzz(func(t *testing.T, list, name string) {
		var m prefix.Map[string]
		var want []string
		for _, p := range strings.Split(list, ",") {
			m.Set(p, p)
			if strings.HasPrefix(name, p) && !slices.Contains(want, p) {
				want = append(want, p)
			}
		}
		slices.SortFunc(want, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
		require.Equal(t, want, slices.Collect(m.All(name)))
		got, value, ok := m.Longest(name)
		require.Equal(t, len(want) > 0, ok)
		require.Equal(t, got, value)
		if ok {
			require.Equal(t, want[len(want)-1], got)
		}
	})
}
