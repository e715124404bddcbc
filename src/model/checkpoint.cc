// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "device/memory.h"
#include "embedding/placement.h"
#include "model/formats/arrays.h"
#include "model/formats/dense_files.h"
#include "model/formats/sparse_files.h"
#include "model/formats/sparse_states.h"
#include "model/formats/state_files.h"

namespace ctr {
namespace {

constexpr int64_t kDenseSteps = 3;  // the optimizer's, of training, of the schedule

RankDumps dump_ranks(Engine& engine, int e, bool with_states) {
  RankDumps dumps(static_cast<size_t>(engine.ranks().size()));
  engine.ranks().run([&](Rank& rank) {
    dumps[static_cast<size_t>(rank.context().rank)] = rank.embeddings().export_rows(e, with_states);
  });
  return dumps;
}

// Keys of all ranks, in the order of the files.
TableDump concatenate_keys(const RankDumps& ranks) {
  TableDump all;
  for (const TableDump& dump : ranks) {
    all.keys.insert(all.keys.end(), dump.keys.begin(), dump.keys.end());
    all.slot_ids.insert(all.slot_ids.end(), dump.slot_ids.begin(), dump.slot_ids.end());
  }
  return all;
}

// What a file's keys can be told from later. Ranks take hashed keys in the order of the file.
LoadedKeys remember(Engine& engine, int e, TableDump&& file) {
  const EmbeddingSpec& spec = engine.spec().embeddings[static_cast<size_t>(e)];
  LoadedKeys loaded;
  for (int r = 0; r < engine.ranks().size(); ++r)
    loaded.rows.push_back(engine.ranks()[r].embeddings().size(e));
  int owner = 0;
  bool same_order = spec.type != EmbeddingType::localized_one_hot;
  for (size_t i = 0; same_order && i < file.keys.size(); ++i) {
    const int64_t slot = file.slot_ids.empty() ? 0 : static_cast<int64_t>(file.slot_ids[i]);
    const int previous = std::exchange(owner, owner_of(spec, file.keys[i], slot, engine.ranks().size()));
    same_order = previous <= owner;
  }
  if (!same_order) loaded.keys = {std::move(file.keys), std::move(file.slot_ids), {}, {}, {}};
  return loaded;
}

// The keys that an embedding was loaded with, in the order of their file; all it has where nothing was
// loaded.
TableDump keys_of_file(Engine& engine, int e) {
  const LoadedKeys& loaded = engine.loaded_keys(e);
  if (!loaded.keys.keys.empty()) return loaded.keys;
  RankDumps dumps = dump_ranks(engine, e, false);
  for (size_t r = 0; r < loaded.rows.size(); ++r) {
    dumps[r].keys.resize(static_cast<size_t>(loaded.rows[r]));
    if (!dumps[r].slot_ids.empty()) dumps[r].slot_ids.resize(dumps[r].keys.size());
  }
  return concatenate_keys(dumps);
}

std::vector<float>::const_iterator find_not_finite(const std::vector<float>& values) {
  return std::find_if_not(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

// A snapshot of numbers that are not finite would replace a good one.
void require_finite(Engine& engine) {
  if (const auto found = engine.divergence())
    fail(ErrorKind::diverged,
         "nothing is saved: the loss is not finite since training step {}, and the first tensor that is not "
         "finite is {}",
         found->step, found->name);
  if (const std::string name = engine.not_finite(false); !name.empty())
    fail(ErrorKind::diverged, "nothing is saved: {} is not finite", name);
}

void require_finite(const EmbeddingSpec& spec, const RankDumps& ranks) {
  for (const TableDump& dump : ranks) {
    const auto check = [&](const char* what, const std::vector<float>& values) {
      const auto bad = find_not_finite(values);
      if (bad != values.end())
        fail(ErrorKind::diverged, "nothing is saved: the {} of key {} in embedding \"{}\" is not finite",
             what, dump.keys[static_cast<size_t>((bad - values.begin()) / spec.dim)], spec.name);
    };
    check("vector", dump.vectors);
    for (const auto& state : dump.states) check("optimizer state", state);
  }
}

std::string sparse_directory(const std::string& prefix, int e, int64_t iteration) {
  return fmt::format("{}{}_sparse_{}.model", prefix, e, iteration);
}

// Files of ours that a directory may have kept from an embedding of another type.
std::vector<std::string> outdated_slot_ids(Engine& engine, const std::string& prefix, int64_t iteration) {
  std::vector<std::string> files;
  for (int e = 0; e < static_cast<int>(engine.spec().embeddings.size()); ++e)
    if (!is_localized(engine.spec().embeddings[static_cast<size_t>(e)]))
      files.push_back(sparse_directory(prefix, e, iteration) + "/slot_id");
  return files;
}

void save_embedding(Engine& engine, Transaction& transaction, int e, const std::string& prefix,
                    int64_t iteration) {
  const EmbeddingSpec& spec = engine.spec().embeddings[static_cast<size_t>(e)];
  const RankDumps dumps = dump_ranks(engine, e, true);
  require_finite(spec, dumps);
  transaction.add_directory(
      sparse_directory(prefix, e, iteration),
      [&](const Transaction::CreateFile& create) { write_sparse_directory(create, spec, dumps); });
  const std::string optimizer = fmt::format("{}{}_opt_sparse_{}.model", prefix, e, iteration);
  transaction.add_file(optimizer, [&](OutputFile& file) { write_sparse_optimizer(file, spec, dumps); });
  transaction.add_file(optimizer + ".json", [&](OutputFile& file) {
    write_description(file, describe_sparse_states(spec, concatenate_keys(dumps), engine.ranks().size()));
  });
  transaction.add_file(optimizer + ".step", [&](OutputFile& file) {
    std::vector<int64_t> last_steps;
    for (const TableDump& dump : dumps)
      last_steps.insert(last_steps.end(), dump.last_steps.begin(), dump.last_steps.end());
    write_steps(file, engine.ranks()[0].embeddings().optimizer_step(e), last_steps);
  });
}

void save_dense(Engine& engine, Transaction& transaction, const std::string& prefix, int64_t iteration) {
  Rank& rank = engine.ranks()[0];
  const Context& ctx = rank.context();
  const std::vector<float> weights = rank.weights().packed(ctx);
  const std::vector<float> states = rank.trainer().state().packed_states(ctx);
  if (find_not_finite(states) != states.end())
    fail(ErrorKind::diverged, "nothing is saved: an optimizer state of the dense weights is not finite");
  const std::string path = fmt::format("{}_dense_{}.model", prefix, iteration);
  transaction.add_file(path, [&](OutputFile& file) { write_array(file, weights); });
  if (has_statistics(rank.graph()))
    transaction.add_file(path + ".ntp.json", [&](OutputFile& file) {
      write_statistics(file, ctx, rank.graph(), rank.weights());
    });
  const std::string optimizer = fmt::format("{}_opt_dense_{}.model", prefix, iteration);
  transaction.add_file(optimizer, [&](OutputFile& file) { write_array(file, states); });
  transaction.add_file(optimizer + ".json", [&](OutputFile& file) {
    write_description(file, describe_dense_states(engine.spec().optimizer, rank.graph()));
  });
  transaction.add_file(optimizer + ".step", [&](OutputFile& file) {
    write_steps(file, rank.trainer().dense_step(),
                {rank.trainer().training_step(), engine.schedule().step()});
  });
}

}  // namespace

void save_checkpoint(Engine& engine, const std::string& prefix, int64_t iteration) {
  require_finite(engine);
  const auto transaction = engine.files().begin(fmt::format("{}_{}", prefix, iteration));
  for (int e = 0; e < static_cast<int>(engine.spec().embeddings.size()); ++e)
    save_embedding(engine, *transaction, e, prefix, iteration);
  save_dense(engine, *transaction, prefix, iteration);
  transaction->commit();
  for (const std::string& file : outdated_slot_ids(engine, prefix, iteration))
    engine.files().remove_all(file);
  log::info("Dumping sparse weights to files, successful");
  log::info("Dumping sparse optimzer states to files, successful");
  log::info("Dumping dense weights to file, successful");
  log::info("Dumping dense optimizer states to file, successful");
  if (has_statistics(engine.ranks()[0].graph())) log::info("Dumping untrainable weights to file, successful");
}

void load_dense_weights(Engine& engine, const std::string& path) {
  engine.files().recover(path);
  const auto values = read_dense_weights(engine.files(), path, engine.ranks()[0].weights().count());
  engine.forget_divergence();
  for (int r = 0; r < engine.ranks().size(); ++r) {
    Rank& rank = engine.ranks()[r];
    read_statistics(engine.files(), path + ".ntp.json", rank.context(), rank.graph(), rank.weights());
    rank.weights().set(rank.context(), values);
    rank.weights().refresh(rank.context());
  }
}

void load_dense_optimizer(Engine& engine, const std::string& path) {
  engine.files().recover(path);
  const auto values =
      read_dense_optimizer(engine.files(), path, engine.spec().optimizer, engine.ranks()[0].graph());
  const auto steps = read_steps(engine.files(), path + ".step", {kDenseSteps});
  for (int r = 0; r < engine.ranks().size(); ++r) {
    Rank& rank = engine.ranks()[r];
    rank.trainer().state().set_states(rank.context(), values);
    rank.trainer().set_dense_step(steps.empty() ? 0 : steps[0]);
    rank.trainer().set_training_step(steps.empty() ? 0 : steps[1]);
  }
  if (!steps.empty()) engine.schedule().set_step(steps[2]);
}

void load_sparse_weights(Engine& engine, const std::map<std::string, std::string>& path_by_embedding) {
  std::vector<std::pair<int, TableDump>> loaded;
  for (const auto& [name, path] : path_by_embedding) {
    const int e = engine.embedding_index(name);
    engine.files().recover(path);
    loaded.emplace_back(e, read_sparse(engine.files(), path, engine.spec().embeddings[static_cast<size_t>(e)],
                                       engine.spec().solver.i64_input_key, engine.ranks().size()));
  }
  engine.forget_divergence();
  for (auto& [e, dump] : loaded) {
    engine.ranks().run([e = e, &dump = dump](Rank& rank) { rank.embeddings().import_rows(e, dump); });
    engine.loaded_keys(e) = remember(engine, e, std::move(dump));
  }
}

void load_sparse_optimizer(Engine& engine, const std::map<std::string, std::string>& path_by_embedding) {
  std::vector<std::pair<int, SparseStates>> loaded;
  for (const auto& [name, path] : path_by_embedding) {
    const int e = engine.embedding_index(name);
    const EmbeddingSpec& spec = engine.spec().embeddings[static_cast<size_t>(e)];
    engine.files().recover(path);
    const TableDump order = keys_of_file(engine, e);
    if (order.keys.empty())
      log::warning(
          "\"{}\": embedding \"{}\" has no rows yet, so these states belong to none; load its weights "
          "first",
          path, name);
    loaded.emplace_back(e, read_sparse_optimizer(engine.files(), path, spec, engine.spec().embeddings, order,
                                                 engine.ranks().size()));
  }
  for (const auto& [e, states] : loaded)
    engine.ranks().run([e = e, &states = states](Rank& rank) {
      rank.embeddings().import_states(e, states.dump);
      rank.embeddings().set_optimizer_step(e, states.optimizer_step);
    });
}

}  // namespace ctr
