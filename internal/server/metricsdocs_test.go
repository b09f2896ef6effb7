package server_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"waxwing/internal/companion"
	"waxwing/internal/guard"
	"waxwing/internal/metrics"
)

var update = flag.Bool("update", false, "write docs/operating/metrics.md anew")

// metric is one as the page shows it.
type metric struct {
	name, help string
	labels     []string
}

// descText is how the Prometheus library shows what it knows of a metric.
var descText = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"),.*? constLabels: \{.*\}, variableLabels: \{(.*)\}\}$`)

// described are the metrics of our own in a registry, by name.
func described(r *prometheus.Registry) (all []metric) {
	ch := make(chan *prometheus.Desc)
	go func() { r.Describe(ch); close(ch) }()
	for d := range ch {
		m := descText.FindStringSubmatch(d.String())
		if m == nil {
			panic("the Prometheus library shows metrics in another way: " + d.String())
		}
		x := metric{}
		x.name, _ = strconv.Unquote(m[1])
		x.help, _ = strconv.Unquote(m[2])
		if m[3] != "" {
			x.labels = strings.Split(m[3], ",")
		}
		if strings.HasPrefix(x.name, "waxwing_") {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	return all
}

// TestMetricsPage: docs/operating/metrics.md has every metric, as the code describes it.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	r := metrics.New().Registry
	companion.NewMetrics(r)
	path := filepath.Join("..", "..", "docs", "operating", "metrics.md")
	want := metricsPage(described(r))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale; if the change is meant: go test ./internal/server -run TestMetricsPage -update", path)
	}
}

func metricsPage(all []metric) string {
	var b strings.Builder
	b.WriteString(`# Metrics

<!-- Made by "make generate" from the metrics that the code registers; do not edit. -->

A listener of kind ` + "`metrics`" + ` serves them to Prometheus at ` + "`/metrics`" + `, without TLS: give it a loopback address.

` + "```" + `
[[listen]]
address = "127.0.0.1:9100"
kind = "metrics"
` + "```" + `

The reason words in labels are those of the log, of ` + "`waxwing queue`" + ` and of ` + "`waxwing explain`" + `: [why.md](why.md) has their meaning.
A series appears with the first event that it counts; those of ` + "`waxwing_panics_total`" + ` are there from the start. Beside these, the Go
runtime (` + "`go_…`" + `) and the process (` + "`process_…`" + `: memory, file descriptors, processor time) are told.

| metric | kind | labels | what it tells |
|---|---|---|---|
`)
	for _, m := range all {
		labels := make([]string, len(m.labels))
		for i, l := range m.labels {
			labels[i] = "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, kindOf(m.name), strings.Join(labels, ", "), strings.ReplaceAll(m.help, "|", "\\|"))
	}
	b.WriteString(`
The number of series is bounded: about a hundred where nothing happens, and under 2,000 whatever others do; codes that hosts choose are
told by their class (` + "`starttls-reply-4xx`" + `).

` + "`/healthz`" + ` at the same listener answers 200 while the process runs, ` + "`/readyz`" + ` where the server takes mail: the store answers and the disk has room.
Otherwise it answers 503, and says why.

## Alerts and a dashboard

[prometheus/waxwing.rules.yml](prometheus/waxwing.rules.yml) has alert rules with causes and cures, each tested
([waxwing.rules.test.yml](prometheus/waxwing.rules.test.yml); ` + "`promtool test rules`" + `), and
[prometheus/waxwing.dashboard.json](prometheus/waxwing.dashboard.json) is a dashboard to be imported into Grafana. For Prometheus:

` + "```" + `
rule_files: [/etc/prometheus/waxwing.rules.yml]
scrape_configs:
  - job_name: waxwing
    static_configs: [{targets: ["127.0.0.1:9100"]}]
` + "```" + `

## Where a panic was contained

| ` + "`area`" + ` | the work, and what becomes of it |
|---|---|
`)
	for _, w := range guard.Areas() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", w.Area, w.What)
	}
	return b.String()
}

// kindOf follows the naming rules of Prometheus.
func kindOf(name string) string {
	switch {
	case strings.HasSuffix(name, "_total"):
		return "counter"
	case strings.HasSuffix(name, "_timestamp_seconds"), strings.HasSuffix(name, "_age_seconds"):
		return "gauge"
	case strings.HasSuffix(name, "_seconds"), strings.HasSuffix(name, "_bytes"):
		return "histogram"
	}
	return "gauge"
}
