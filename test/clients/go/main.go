// A franz-go client for kogge's tests: one round trip of everything an application does, reported as one JSON line.
//
//	roundtrip <bootstrap> <topic>
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type report struct {
	Created    int            `json:"created"`
	Produced   map[string]int `json:"produced"`
	Consumed   map[string]int `json:"consumed"`
	NullKeys   int            `json:"nullKeys"`
	Tombstones int            `json:"tombstones"`
	Headers    int            `json:"headers"`
	Committed  int64          `json:"committed"`
	Groups     []string       `json:"groups"`
	Deleted    bool           `json:"deleted"`
}

const perCodec = 50

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(bootstrap, topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	seeds := strings.Split(bootstrap, ",")
	base, err := kgo.NewClient(kgo.SeedBrokers(seeds...))
	if err != nil {
		return err
	}
	defer base.Close()
	admin := kadm.NewClient(base)
	out := report{Produced: map[string]int{}, Consumed: map[string]int{}}

	if _, err := admin.CreateTopic(ctx, 3, 3, nil, topic); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	details, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	out.Created = len(details[topic].Partitions)

	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		if err := produce(ctx, seeds, topic, name, codec, &out); err != nil {
			return fmt.Errorf("produce %s: %w", name, err)
		}
	}
	if err := consume(ctx, seeds, topic, len(codecs)*perCodec, &out); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	offsets, err := admin.FetchOffsets(ctx, "franz-"+topic)
	if err != nil {
		return fmt.Errorf("fetch offsets: %w", err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { out.Committed += o.At })
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	out.Groups = groups.Groups()
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	out.Deleted = true
	return json.NewEncoder(os.Stdout).Encode(out)
}

func produce(ctx context.Context, seeds []string, topic, name string, codec kgo.CompressionCodec, out *report) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.DefaultProduceTopic(topic),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(codec))
	if err != nil {
		return err
	}
	defer client.Close()
	for i := 0; i < perCodec; i++ {
		record := &kgo.Record{
			Key:     []byte(fmt.Sprintf("%s-%d", name, i)),
			Value:   []byte(strings.Repeat(name, 20)),
			Headers: []kgo.RecordHeader{{Key: "codec", Value: []byte(name)}, {Key: "null", Value: nil}},
		}
		if i%10 == 0 {
			record.Key = nil
		}
		if i%10 == 1 {
			record.Value = nil
		}
		client.Produce(ctx, record, nil)
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	out.Produced[name] = perCodec
	return nil
}

func consume(ctx context.Context, seeds []string, topic string, want int, out *report) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumeTopics(topic),
		kgo.ConsumerGroup("franz-"+topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if err != nil {
		return err
	}
	defer client.Close()
	for seen := 0; seen < want; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			seen++
			if r.Key == nil {
				out.NullKeys++
			}
			if r.Value == nil {
				out.Tombstones++
			}
			out.Headers += len(r.Headers)
			out.Consumed[string(r.Headers[0].Value)]++
		})
	}
	return client.CommitUncommittedOffsets(ctx)
}
