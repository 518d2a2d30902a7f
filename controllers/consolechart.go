package controllers

import (
	"fmt"
	"strings"
	"time"
)

// chart is a drawing of numbers over time, with all of them as a table for those who cannot see it.
type chart struct {
	Title, Total, Summary string
	Top                   string // what the upper edge stands for
	Width, Height         int    // of the drawing, in units of its own
	Series                []series
	Marks                 []string // along the time
	Rows                  []chartRow
}

// series is one kind of number. Class is how it looks.
type series struct {
	Class, Name string
	Bars        []bar
	Line        string // points of SVG
}

type bar struct{ X, Y, Width, Height string }

type chartRow struct {
	Time   string
	Values []string
}

// numbers are what a series is drawn of.
type numbers struct {
	class, name string
	values      []float64
}

const (
	chartWidth  = 600
	chartHeight = 100
)

// scale is how the numbers of a chart become places.
type scale struct {
	steps int
	top   float64
}

func (s scale) x(i float64) string {
	return units(i * chartWidth / float64(max(s.steps, 1)))
}

func (s scale) height(value float64) float64 {
	if s.top == 0 {
		return 0
	}
	return value / s.top * chartHeight
}

func units(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}

// frame makes a chart without a drawing. show writes a number.
func frame(title string, times []time.Time, all []numbers, show func(float64) string) chart {
	c := chart{Title: title, Width: chartWidth, Height: chartHeight}
	for i, at := range times {
		row := chartRow{Time: at.UTC().Format(time.RFC3339)}
		for _, n := range all {
			row.Values = append(row.Values, show(n.values[i]))
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

// bars draws numbers as bars that stand on each other.
func bars(title string, times []time.Time, all []numbers, show func(float64) string) chart {
	c := frame(title, times, all, show)
	s := scale{steps: len(times)}
	for i := range times {
		sum := 0.0
		for _, n := range all {
			sum += n.values[i]
		}
		s.top = max(s.top, sum)
	}
	below := make([]float64, len(times))
	for _, n := range all {
		drawn := series{Class: n.class, Name: n.name}
		for i, value := range n.values {
			if value == 0 {
				continue
			}
			height := s.height(value)
			drawn.Bars = append(drawn.Bars, bar{
				X: s.x(float64(i) + .1), Y: units(chartHeight - below[i] - height), Width: s.x(.8), Height: units(height),
			})
			below[i] += height
		}
		c.Series = append(c.Series, drawn)
	}
	c.Top = show(s.top)
	return c
}

// lines draws each series as a line.
func lines(title string, times []time.Time, all []numbers, show func(float64) string) chart {
	c := frame(title, times, all, show)
	s := scale{steps: len(times) - 1}
	for _, n := range all {
		for _, value := range n.values {
			s.top = max(s.top, value)
		}
	}
	for _, n := range all {
		var points []string
		for i, value := range n.values {
			points = append(points, s.x(float64(i))+","+units(chartHeight-s.height(value)))
		}
		c.Series = append(c.Series, series{Class: n.class, Name: n.name, Line: strings.Join(points, " ")})
	}
	c.Top = show(s.top)
	return c
}
