package main

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestFlat: numbers that go up and down are flat, numbers that go up are not.
func TestFlat(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name string
		at   func(i int) float64 // as a part of the median 1
		flat bool
	}{
		{"constant", func(int) float64 { return 1 }, true},
		{"noise", func(int) float64 { return .85 + .3*random.Float64() }, true},
		{"a saw", func(i int) float64 { return .8 + .05*float64(i%9) }, true},
		{"falls", func(i int) float64 { return 1.5 - float64(i)/100 }, true},
		{"a quarter are peaks", func(i int) float64 { return 1 + 5*float64((i%4)/3) }, true},
		{"grows by a twentieth", func(i int) float64 { return 1 + .05*float64(i)/100 }, true},
		{"grows by a third", func(i int) float64 { return 1 + float64(i)/300 }, false},
		{"grows by a third in noise", func(i int) float64 { return 1 + float64(i)/300 + .1*random.Float64() }, false},
		{"a saw that grows", func(i int) float64 { return .8 + .05*float64(i%9) + float64(i)/300 }, false},
	} {
		for n, w := range watchedNumbers {
			median := 20 * w.least // of which a tenth is more than the least
			var samples []sample
			for i := range 101 {
				s := sample{time.Duration(i) * time.Second, make([]float64, len(watchedNumbers))}
				for other := range s.values {
					s.values[other] = watchedNumbers[other].least
				}
				s.values[n] = median * c.at(i)
				samples = append(samples, s)
			}
			all := trends(samples)
			err := flat(all)
			if (err == nil) != c.flat || err != nil && !strings.Contains(err.Error(), w.name) {
				t.Errorf("%s: %s: %v", w.name, c.name, err)
			}
			if slope := all[n].growth / 100; math.Abs(all[n].slope-slope) > math.Abs(slope)/1e6 {
				t.Errorf("%s: %s: grows by %v in 100 s, the slope is %v", w.name, c.name, all[n].growth, all[n].slope)
			}
		}
	}
}

// TestReadSample: numbers are read by their whole names, and none may be absent.
func TestReadSample(t *testing.T) {
	text := "# HELP go_goroutines Number\ngo_goroutines 17\nother_open_files 33\nother_open_files_more 1\n" +
		"go_memstats_next_gc_bytes 4.194304e+06\nown_memory_bytes 1.2345e+08\n"
	values, err := readSample(strings.NewReader(text))
	if err != nil || len(values) != 4 || values[0] != 1.2345e8 || values[1] != 4<<20 || values[2] != 17 || values[3] != 33 {
		t.Errorf("%v, %v", values, err)
	}
	for _, wrong := range []string{"", strings.Replace(text, "go_goroutines 17", "", 1), strings.Replace(text, " 33", " many", 1)} {
		if values, err := readSample(strings.NewReader(wrong)); err == nil {
			t.Errorf("%q gives %v", wrong, values)
		}
	}
}
