// Uses the server through the public Go clients of the API: pushes one profile over each protocol that they speak, and
// asks everything of the querier. Exits with a sentence at the first answer that is not what was pushed.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"connectrpc.com/connect"
	google "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"
	push "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	querier "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/querier/v1/querierv1connect"
	types "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"golang.org/x/net/http2"
)

const (
	service  = "compat.connect"
	selector = `{service_name="compat.connect"}`
	cpu      = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
	// Values of the two stacks main;work and main;idle in nanoseconds.
	workValue = 300
	idleValue = 50
)

type protocol struct {
	name    string
	client  *http.Client
	options []connect.ClientOption
}

func protocols() []protocol {
	plain := &http.Client{Timeout: 20 * time.Second}
	// HTTP/2 without TLS.
	h2c := &http.Client{Timeout: 20 * time.Second, Transport: &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	return []protocol{
		{"connect", plain, nil},
		{"connect-gzip", plain, []connect.ClientOption{connect.WithSendGzip()}},
		{"connect-json", plain, []connect.ClientOption{connect.WithProtoJSON()}},
		{"connect-h2c", h2c, nil},
		{"grpc", h2c, []connect.ClientOption{connect.WithGRPC()}},
		{"grpc-gzip", h2c, []connect.ClientOption{connect.WithGRPC(), connect.WithSendGzip()}},
		{"grpc-web", plain, []connect.ClientOption{connect.WithGRPCWeb()}},
	}
}

func profile(at time.Time) []byte {
	message := &google.Profile{
		SampleType:    []*google.ValueType{{Type: 1, Unit: 2}},
		PeriodType:    &google.ValueType{Type: 1, Unit: 2},
		Period:        10,
		TimeNanos:     at.UnixNano(),
		DurationNanos: int64(time.Second),
		Mapping:       []*google.Mapping{{Id: 1, HasFunctions: true}},
		Function:      []*google.Function{{Id: 1, Name: 3}, {Id: 2, Name: 4}, {Id: 3, Name: 5}},
		Sample: []*google.Sample{
			{LocationId: []uint64{2, 1}, Value: []int64{workValue}},
			{LocationId: []uint64{3, 1}, Value: []int64{idleValue}},
		},
		StringTable: []string{"", "cpu", "nanoseconds", "main", "workForFlamestore", "idleForFlamestore"},
	}
	for id := uint64(1); id <= 3; id++ {
		message.Location = append(message.Location, &google.Location{
			Id: id, MappingId: 1, Line: []*google.Line{{FunctionId: id, Line: 1}},
		})
	}
	raw, err := message.MarshalVT()
	must("pprof", err)
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	_, err = writer.Write(raw)
	must("gzip", err)
	must("gzip", writer.Close())
	return out.Bytes()
}

func pushOver(ctx context.Context, url string, by protocol, at time.Time) {
	client := pushv1connect.NewPusherServiceClient(by.client, url, by.options...)
	_, err := client.Push(ctx, connect.NewRequest(&push.PushRequest{Series: []*push.RawProfileSeries{{
		Labels: []*types.LabelPair{
			{Name: "__name__", Value: "process_cpu"},
			{Name: "service_name", Value: service},
			{Name: "by", Value: by.name},
		},
		Samples: []*push.RawSample{{RawProfile: profile(at)}},
	}}}))
	must("Push over "+by.name, err)
	// A refusal comes back as an error of the right code.
	_, err = client.Push(ctx, connect.NewRequest(&push.PushRequest{}))
	check(by.name+": code of an empty push", connect.CodeOf(err), connect.CodeInvalidArgument)
}

// Asks everything over one protocol. Each pushed profile counts `pushes` times in the sums over all.
func askOver(ctx context.Context, url string, by protocol, start, end int64, names []string) {
	client := querierv1connect.NewQuerierServiceClient(by.client, url, by.options...)
	what := func(call string) string { return call + " over " + by.name }
	pushes := int64(len(names))
	matchers := []string{selector}

	profileTypes, err := client.ProfileTypes(ctx, connect.NewRequest(&querier.ProfileTypesRequest{Start: start, End: end}))
	must(what("ProfileTypes"), err)
	check(what("ProfileTypes"), len(profileTypes.Msg.ProfileTypes), 1)
	check(what("ProfileTypes"), profileTypes.Msg.ProfileTypes[0].ID, cpu)

	labelNames, err := client.LabelNames(ctx, connect.NewRequest(&types.LabelNamesRequest{Matchers: matchers, Start: start, End: end}))
	must(what("LabelNames"), err)
	for _, name := range []string{"service_name", "by", "__profile_type__"} {
		check(what("LabelNames: "+name), slices.Contains(labelNames.Msg.Names, name), true)
	}

	values, err := client.LabelValues(ctx, connect.NewRequest(&types.LabelValuesRequest{
		Name: "by", Matchers: matchers, Start: start, End: end,
	}))
	must(what("LabelValues"), err)
	check(what("LabelValues"), fmt.Sprint(values.Msg.Names), fmt.Sprint(names))

	series, err := client.Series(ctx, connect.NewRequest(&querier.SeriesRequest{
		Matchers: matchers, LabelNames: []string{"service_name", "by"}, Start: start, End: end,
	}))
	must(what("Series"), err)
	check(what("Series"), len(series.Msg.LabelsSet), len(names))

	merge := func(selector string) *querier.SelectMergeStacktracesRequest {
		return &querier.SelectMergeStacktracesRequest{
			ProfileTypeID: cpu, LabelSelector: selector, Start: start, End: end,
		}
	}
	stacks, err := client.SelectMergeStacktraces(ctx, connect.NewRequest(merge(selector)))
	must(what("SelectMergeStacktraces"), err)
	graph := stacks.Msg.Flamegraph
	check(what("SelectMergeStacktraces"), graph.Total, pushes*(workValue+idleValue))
	check(what("SelectMergeStacktraces"), graph.MaxSelf, pushes*workValue)
	check(what("SelectMergeStacktraces"), len(graph.Levels), 3)
	check(what("SelectMergeStacktraces"), selfOf(graph, "workForFlamestore"), pushes*workValue)
	check(what("SelectMergeStacktraces"), selfOf(graph, "idleForFlamestore"), pushes*idleValue)

	merged, err := client.SelectMergeProfile(ctx, connect.NewRequest(&querier.SelectMergeProfileRequest{
		ProfileTypeID: cpu, LabelSelector: selector, Start: start, End: end,
	}))
	must(what("SelectMergeProfile"), err)
	total := int64(0)
	for _, sample := range merged.Msg.Sample {
		total += sample.Value[0]
	}
	check(what("SelectMergeProfile"), total, pushes*(workValue+idleValue))
	check(what("SelectMergeProfile"), slices.Contains(merged.Msg.StringTable, "workForFlamestore"), true)

	points, err := client.SelectSeries(ctx, connect.NewRequest(&querier.SelectSeriesRequest{
		ProfileTypeID: cpu, LabelSelector: selector, Start: start, End: end, GroupBy: []string{"by"},
		Step: float64(end-start) / 1000,
	}))
	must(what("SelectSeries"), err)
	check(what("SelectSeries"), len(points.Msg.Series), len(names))
	for _, line := range points.Msg.Series {
		check(what("SelectSeries"), line.Points[0].Value, float64(workValue+idleValue))
	}

	diff, err := client.Diff(ctx, connect.NewRequest(&querier.DiffRequest{
		Left: merge(`{by="grpc"}`), Right: merge(selector),
	}))
	must(what("Diff"), err)
	check(what("Diff"), diff.Msg.Flamegraph.LeftTicks, int64(workValue+idleValue))
	check(what("Diff"), diff.Msg.Flamegraph.RightTicks, pushes*(workValue+idleValue))

	heatmap, err := client.SelectHeatmap(ctx, connect.NewRequest(&querier.SelectHeatmapRequest{
		ProfileTypeID: cpu, LabelSelector: selector, Start: start, End: end, Step: 60,
		QueryType: querier.HeatmapQueryType_HEATMAP_QUERY_TYPE_INDIVIDUAL,
	}))
	must(what("SelectHeatmap"), err)
	counted := int32(0)
	for _, line := range heatmap.Msg.Series {
		for _, slot := range line.Slots {
			for _, count := range slot.Counts {
				counted += count
			}
		}
	}
	check(what("SelectHeatmap"), int64(counted), pushes)

	_, err = client.SelectMergeSpanProfile(ctx, connect.NewRequest(&querier.SelectMergeSpanProfileRequest{
		ProfileTypeID: cpu, LabelSelector: selector, SpanSelector: []string{"00000000000000aa"}, Start: start, End: end,
	}))
	must(what("SelectMergeSpanProfile"), err)

	stats, err := client.GetProfileStats(ctx, connect.NewRequest(&types.GetProfileStatsRequest{}))
	must(what("GetProfileStats"), err)
	check(what("GetProfileStats"), stats.Msg.DataIngested, true)

	_, err = client.AnalyzeQuery(ctx, connect.NewRequest(&querier.AnalyzeQueryRequest{
		Start: start, End: end, Query: cpu + selector,
	}))
	must(what("AnalyzeQuery"), err)

	_, err = client.SelectMergeStacktraces(ctx, connect.NewRequest(merge(`{broken`)))
	check(what("code of a broken selector"), connect.CodeOf(err), connect.CodeInvalidArgument)
}

func selfOf(graph *querier.FlameGraph, name string) (self int64) {
	for _, level := range graph.Levels {
		for node := range slices.Chunk(level.Values, 4) {
			if graph.Names[node[3]] == name {
				self += node[2]
			}
		}
	}
	return self
}

func check[T comparable](what string, got, want T) {
	if got != want {
		must(what, fmt.Errorf("got %v, want %v", got, want))
	}
}

func must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	url, now := os.Args[1], time.Now()
	var names []string
	for _, by := range protocols() {
		pushOver(ctx, url, by, now)
		names = append(names, by.name)
	}
	slices.Sort(names)
	for _, by := range protocols() {
		askOver(ctx, url, by, now.Add(-time.Minute).UnixMilli(), now.Add(time.Minute).UnixMilli(), names)
		fmt.Println(by.name)
	}
}
