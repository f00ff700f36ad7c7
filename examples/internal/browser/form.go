package browser

import (
	"html"
	"regexp"
	"slices"
	"strings"
)

// A Form is a form of a page.
type Form struct {
	Action string
	Fields []Field
}

// A Field is an input or a button with a name.
type Field struct {
	Type, Name, Value string
	Checked           bool
}

// Has reports whether the form has a field with this name and value.
func (f Form) Has(name, value string) bool {
	return slices.ContainsFunc(f.Fields, func(in Field) bool { return in.Name == name && in.Value == value })
}

// These read the pages of the development server, whose attributes are all quoted; they are no HTML parser.
var (
	formElement = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	fieldTag    = regexp.MustCompile(`<(input|button)\b([^>]*)>`)
	attribute   = regexp.MustCompile(`([a-z-]+)(?:="([^"]*)")?`)
	titleTag    = regexp.MustCompile(`(?s)<title>(.*?)</title>`)
)

func parseForms(body string) []Form {
	var forms []Form
	for _, m := range formElement.FindAllStringSubmatch(body, -1) {
		f := Form{Action: attributes(m[1])["action"]}
		for _, tag := range fieldTag.FindAllStringSubmatch(m[2], -1) {
			a := attributes(tag[2])
			if a["name"] == "" {
				continue
			}
			_, checked := a["checked"]
			f.Fields = append(f.Fields, Field{Type: a["type"], Name: a["name"], Value: a["value"], Checked: checked})
		}
		forms = append(forms, f)
	}
	return forms
}

func attributes(s string) map[string]string {
	out := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(s, -1) {
		out[m[1]] = html.UnescapeString(m[2])
	}
	return out
}

// Title returns the title of the page.
func (p *Page) Title() string {
	m := titleTag.FindStringSubmatch(p.Body)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(html.UnescapeString(m[1]))
}
