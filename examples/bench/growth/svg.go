package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Sizes of a picture, in its own units. Names of lines stand on the right, each beside the end of its line.
const (
	width, height            = 800, 400
	left, right, top, bottom = 64, 232, 66, 50

	lineHeight = 15
	labelWidth = 30 // characters
)

// style follows the reader's theme, background included, so that the picture is readable wherever it stands.
const style = `
text { font: 12px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 } .soft { fill: #59636e }
.paper { fill: #ffffff; stroke: #d1d9e0 } .grid { stroke: #d1d9e0 } .one { stroke: #59636e; stroke-dasharray: 5 4 }
.line { fill: none; stroke-width: 2 } .lead { fill: none; stroke-opacity: .5 }
.s0 { stroke: #0969da } .s1 { stroke: #bc4c00 } .s2 { stroke: #1a7f37 } .s3 { stroke: #8250df }
.f0 { fill: #0969da } .f1 { fill: #bc4c00 } .f2 { fill: #1a7f37 } .f3 { fill: #8250df }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .soft { fill: #9198a1 } .paper { fill: #0d1117; stroke: #3d444d } .grid { stroke: #3d444d } .one { stroke: #9198a1 }
.s0 { stroke: #4493f8 } .s1 { stroke: #f0883e } .s2 { stroke: #3fb950 } .s3 { stroke: #ab7df8 }
.f0 { fill: #4493f8 } .f1 { fill: #f0883e } .f2 { fill: #3fb950 } .f3 { fill: #ab7df8 }
}
`

// A scale places values of a logarithmic axis.
type scale struct{ low, high, from, to float64 }

func (s scale) at(v float64) float64 {
	return s.from + (math.Log10(v)-s.low)/(s.high-s.low)*(s.to-s.from)
}

// svg draws the plot with logarithmic axes.
func (p *plot) svg() []byte {
	var counts []int
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range p.Lines {
		for _, q := range l.Points {
			counts = append(counts, q.N)
			low, high = min(low, math.Log10(q.Cost)), max(high, math.Log10(q.Cost))
		}
	}
	slices.Sort(counts)
	counts = slices.Compact(counts)
	x := scale{math.Log10(float64(counts[0])), math.Log10(float64(counts[len(counts)-1])), left + 14, width - right - 14}
	if x.low == x.high {
		x.high++
	}
	y := scale{math.Floor(low), math.Ceil(high), height - bottom, top}
	if y.low == y.high {
		y.high++
	}

	var b bytes.Buffer
	alt := fmt.Sprintf("%s: cost of one request in checks of one P-256 signature, by %s, with logarithmic axes.", p.Title, p.X)
	for _, l := range p.Lines {
		alt += " " + l.Name + ": " + l.span() + "."
	}
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", html.EscapeString(alt), style)
	fmt.Fprintf(&b, "<rect class=\"paper\" x=\".5\" y=\".5\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n", width-1, height-1)
	text(&b, "title", "start", 20, 28, p.Title)
	text(&b, "soft", "start", 20, 48, "Cost of one request; 1 is one check of an ECDSA P-256 signature. Both axes are logarithmic.")
	for decade := y.low; decade <= y.high; decade++ {
		v := math.Pow(10, decade)
		class := "grid"
		if decade == 0 {
			class = "one"
		}
		rule(&b, class, left, y.at(v), width-right, y.at(v))
		text(&b, "soft", "end", left-8, y.at(v)+4, plain(v))
	}
	for _, n := range counts {
		at := x.at(float64(n))
		rule(&b, "grid", at, y.from, at, y.from+5)
		text(&b, "soft", "middle", at, y.from+20, p.count(n))
	}
	text(&b, "", "middle", (x.from+x.to)/2, height-12, p.X)

	for i, l := range p.Lines {
		var points []string
		for _, q := range l.Points {
			px, py := x.at(float64(q.N)), y.at(q.Cost)
			points = append(points, fmt.Sprintf("%.1f,%.1f", px, py))
			fmt.Fprintf(&b, "<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", i, px, py)
		}
		fmt.Fprintf(&b, "<polyline class=\"line s%d\" points=\"%s\"/>\n", i, strings.Join(points, " "))
	}
	for _, d := range p.labels(y) {
		from := x.at(float64(p.Lines[d.of].Points[len(p.Lines[d.of].Points)-1].N)) + 6
		middle := d.top + float64(len(d.rows))*lineHeight/2
		fmt.Fprintf(&b, "<path class=\"lead s%d\" d=\"M%.1f %.1fL%d %.1f\"/>\n", d.of, from, d.end, width-right+16, middle)
		for i, row := range d.rows {
			class := fmt.Sprint("f", d.of)
			if i == len(d.rows)-1 {
				class = "soft" // the figures
			}
			text(&b, class, "start", width-right+20, d.top+float64(i+1)*lineHeight-4, row)
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// A label is the name of a line and its first and last value.
type label struct {
	of   int
	rows []string
	end  float64 // where its line ends
	top  float64
}

// labels puts each beside the end of its line, or as near as the others let it.
func (p *plot) labels(y scale) []label {
	var all []label
	for i, l := range p.Lines {
		d := label{of: i, rows: append(wrap(l.Name), l.span()), end: y.at(l.Points[len(l.Points)-1].Cost)}
		d.top = d.end - float64(len(d.rows))*lineHeight/2
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b label) int { return int(math.Copysign(1, a.end-b.end)) })
	const gap = 6
	floor := y.from + 4
	for i := len(all) - 1; i >= 0; i-- { // up from the lowest
		d := &all[i]
		d.top = min(d.top, floor-float64(len(d.rows))*lineHeight)
		floor = d.top - gap
	}
	ceiling := float64(top) - 8
	for i := range all { // and down again, where there was no room
		d := &all[i]
		d.top = max(d.top, ceiling)
		ceiling = d.top + float64(len(d.rows))*lineHeight + gap
	}
	return all
}

// span is what the first point costs, and the last.
func (l *line) span() string {
	first, last := plain(l.Points[0].Cost), plain(l.Points[len(l.Points)-1].Cost)
	return first + " … " + last
}

// plain writes a number of two digits without an exponent.
func plain(v float64) string {
	decimals := int(max(0, 1-math.Floor(math.Log10(v)+1e-9)))
	text := fmt.Sprintf("%.*f", decimals, v)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// wrap breaks a text between words.
func wrap(s string) (rows []string) {
	row := ""
	for _, word := range strings.Fields(s) {
		switch {
		case row == "":
			row = word
		case len(row)+1+len(word) > labelWidth:
			rows, row = append(rows, row), word
		default:
			row += " " + word
		}
	}
	return append(rows, row)
}

func text(b *bytes.Buffer, class, anchor string, x, y float64, s string) {
	fmt.Fprintf(b, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, anchor, x, y, html.EscapeString(s))
}

func rule(b *bytes.Buffer, class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, "<path class=\"%s\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", class, x1, y1, x2, y2)
}
