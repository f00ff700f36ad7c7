package policy

import "strings"

// And holds when all conditions do. Without any it is the zero Condition.
func And(conditions ...Condition) Condition {
	if len(conditions) == 0 {
		return Condition{}
	}
	parts, partial := keep(conditions)
	return Condition{node: &node{text: join(parts, " and "), partial: partial, parts: parts, decide: func(q question) answer {
		all := holds()
		for _, part := range parts {
			a := part.decide(q)
			if a.is(no) {
				return a // whatever is the matter with the others
			}
			all = all.and(a)
		}
		return all
	}}}
}

// and is the least of both; the reason is that of the lower, and of the first of equals.
func (a answer) and(b answer) answer {
	out := answer{min(a.least, b.least), min(a.most, b.most), a.why}
	if a.why == "" || b.most < a.most || b.most == a.most && b.least < a.least {
		out.why = b.why
	}
	return out
}

// Or holds when at least one of the conditions does. Without any it is the zero Condition. It panics if one
// holds a [For].
func Or(conditions ...Condition) Condition {
	if len(conditions) == 0 {
		return Condition{}
	}
	parts, partial := keep(conditions)
	if partial {
		panic("policy: Or: one of the conditions is a For, which lets all other operations pass; put the Or inside of the For")
	}
	return Condition{node: &node{text: join(parts, " or "), decide: func(q question) answer {
		best := answer{least: no, most: no}
		for _, part := range parts {
			a := part.decide(q)
			if a.is(yes) {
				return a
			}
			best = best.or(a)
		}
		return best
	}}}
}

// or is the greatest of both, with the reasons of both: each of them would have had to hold.
func (a answer) or(b answer) answer {
	out := answer{max(a.least, b.least), max(a.most, b.most), a.why}
	switch {
	case a.why == "":
		out.why = b.why
	case b.why != "":
		out.why += "; " + b.why
	}
	return out
}

// Not holds when the condition certainly does not. Where that cannot be told, it cannot be told of Not
// either, and the call is refused. It panics if the condition holds a [For].
func Not(condition Condition) Condition {
	if condition.node != nil && condition.node.partial {
		panic("policy: Not: the condition is a For, which lets all other operations pass; put the Not inside of the For")
	}
	text := "not " + enclosed(condition)
	return Condition{node: &node{text: text, decide: func(q question) answer {
		a := condition.decide(q)
		first, second := a.least.not(), a.most.not()
		out := answer{min(first, second), max(first, second), a.why}
		if a.is(yes) {
			out.why = label(text) + ": it holds"
		}
		if a.is(no) {
			out.why = ""
		}
		return out
	}}}
}

// keep copies the conditions and reports whether one of them is about some operations only.
func keep(conditions []Condition) (parts []Condition, partial bool) {
	parts = append(parts, conditions...)
	for _, part := range parts {
		partial = partial || part.node != nil && part.node.partial
	}
	return parts, partial
}

func join(parts []Condition, word string) string {
	if len(parts) == 1 {
		return parts[0].String()
	}
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = enclosed(part)
	}
	return strings.Join(texts, word)
}

// enclosed is the text of a condition inside of another.
func enclosed(c Condition) string {
	if c.node == nil || c.node.isLeaf {
		return c.String()
	}
	return "(" + c.node.text + ")"
}
