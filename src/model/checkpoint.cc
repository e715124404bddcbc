// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <memory>
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

// Up to row number `limits[rank]`, where there are limits.
RankRows rows_of(Engine& engine, int e, std::vector<int64_t> limits = {}) {
  const auto read = [&engine, e, limits](int rank, const RowParts& parts, const VisitRows& visit) {
    const int64_t at_once = rows_of_a_block(engine.spec().embeddings[static_cast<size_t>(e)]);
    int64_t end = engine.ranks()[rank].embeddings().end_row(e);
    if (!limits.empty()) end = std::min(end, limits[static_cast<size_t>(rank)]);
    for (int64_t begin = 0; begin < end; begin += at_once)
      visit(engine.ranks()[rank].embeddings().export_rows(e, Range{begin, std::min(end, begin + at_once)},
                                                          parts));
  };
  return {engine.ranks().size(), read};
}

// The keys that an embedding was loaded with, in the order of their file; all it has where nothing was
// loaded.
KeyOrder keys_of_file(Engine& engine, int e) {
  const LoadedKeys& loaded = engine.loaded_keys(e);
  if (loaded.keys.keys.empty()) return rows_of(engine, e, loaded.rows).keys();
  return [&loaded, at_once = static_cast<size_t>(rows_of_a_block(
                       engine.spec().embeddings[static_cast<size_t>(e)]))](const VisitRows& visit) {
    const auto part = [&](const auto& all, size_t begin, auto& to) {
      if (!all.empty()) to.assign(all.begin() + begin, all.begin() + std::min(all.size(), begin + at_once));
    };
    for (size_t begin = 0; begin < loaded.keys.keys.size(); begin += at_once) {
      RowBlock block;
      part(loaded.keys.keys, begin, block.keys), part(loaded.keys.slot_ids, begin, block.slot_ids);
      visit(block);
    }
  };
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

// The same rows, which are checked as they pass.
RankRows finite(const EmbeddingSpec& spec, const RankRows& rows) {
  const auto check = [&spec](const RowBlock& block, const char* what, const std::vector<float>& values) {
    const auto bad = find_not_finite(values);
    if (bad != values.end())
      fail(ErrorKind::diverged, "nothing is saved: the {} of key {} in embedding \"{}\" is not finite", what,
           block.keys[static_cast<size_t>((bad - values.begin()) / spec.dim)], spec.name);
  };
  const auto read = [rows, check](int rank, const RowParts& parts, const VisitRows& visit) {
    rows.read(rank, parts, [&](const RowBlock& block) {
      check(block, "vector", block.vectors);
      for (const auto& state : block.states) check(block, "optimizer state", state);
      visit(block);
    });
  };
  return {rows.ranks, read};
}

std::string sparse_path(const std::string& prefix, int e, int64_t iteration) {
  return fmt::format("{}{}_sparse_{}.model", prefix, e, iteration);
}

// Files of ours that a directory may have kept from an embedding of another type.
std::vector<std::string> outdated_slot_ids(Engine& engine, const std::string& prefix, int64_t iteration) {
  std::vector<std::string> files;
  for (int e = 0; e < static_cast<int>(engine.spec().embeddings.size()); ++e)
    if (!is_localized(engine.spec().embeddings[static_cast<size_t>(e)]))
      files.push_back(sparse_path(prefix, e, iteration) + "/slot_id");
  return files;
}

void save_embedding(Engine& engine, Transaction& transaction, int e, const std::string& prefix,
                    int64_t iteration, SparseForm form) {
  const EmbeddingSpec& spec = engine.spec().embeddings[static_cast<size_t>(e)];
  const RankRows rows = finite(spec, rows_of(engine, e));
  const std::string path = sparse_path(prefix, e, iteration);
  if (form == SparseForm::single_file)
    transaction.add_file(path, [&](OutputFile& file) {
      write_sparse_file(file, spec, rows, engine.spec().solver.i64_input_key);
    });
  else
    transaction.add_directory(
        path, [&](const Transaction::CreateFile& create) { write_sparse_directory(create, spec, rows); });
  const std::string optimizer = fmt::format("{}{}_opt_sparse_{}.model", prefix, e, iteration);
  transaction.add_file(optimizer, [&](OutputFile& file) { write_sparse_optimizer(file, spec, rows); });
  transaction.add_file(optimizer + ".json", [&](OutputFile& file) {
    write_description(file, describe_sparse_states(spec, rows.keys(), rows.ranks));
  });
  transaction.add_file(optimizer + ".step", [&](OutputFile& file) {
    write_sparse_steps(file, spec, rows, engine.ranks()[0].embeddings().optimizer_step(e));
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

void save_checkpoint(Engine& engine, const std::string& prefix, int64_t iteration, SparseForm form) {
  require_finite(engine);
  const auto transaction = engine.files().begin(fmt::format("{}_{}", prefix, iteration));
  for (int e = 0; e < static_cast<int>(engine.spec().embeddings.size()); ++e)
    save_embedding(engine, *transaction, e, prefix, iteration, form);
  save_dense(engine, *transaction, prefix, iteration);
  transaction->commit();
  if (form == SparseForm::directory)
    for (const std::string& file : outdated_slot_ids(engine, prefix, iteration))
      engine.files().remove_all(file);
  log::info("Dumping sparse weights to files, successful");
  log::info("Dumping sparse optimzer states to files, successful");
  log::info("Dumping dense weights to file, successful");
  log::info("Dumping dense optimizer states to file, successful");
  if (has_statistics(engine.ranks()[0].graph())) log::info("Dumping untrainable weights to file, successful");
}

void save_dense_weights(Engine& engine, const std::string& path) {
  Rank& rank = engine.ranks()[0];
  const std::vector<float> weights = rank.weights().packed(rank.context());
  engine.files().write(path, [&](OutputFile& file) { write_array(file, weights); });
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

namespace {

// What one embedding shall hold on all ranks.
struct SparseImport {
  int e;
  std::unique_ptr<SparseFile> file;
  std::vector<std::unique_ptr<RowImport>> ranks;
  bool same_order = true;  // ranks number hashed keys in the order of the file
};

void add_block(Engine& engine, SparseImport& import, const RowBlock& block, int64_t first_row) {
  std::vector<int64_t> added(import.ranks.size());
  engine.ranks().run([&](Rank& rank) {
    const auto r = static_cast<size_t>(rank.context().rank);
    added[r] = import.ranks[r]->add(block);
  });
  if (const int64_t twice = *std::min_element(added.begin(), added.end()); twice < std::ssize(block.keys))
    import.file->fail_twice(first_row + twice);
}

SparseImport read_sparse(Engine& engine, int e, const std::string& path) {
  const EmbeddingSpec& spec = engine.spec().embeddings[static_cast<size_t>(e)];
  const int world_size = engine.ranks().size();
  SparseImport import{e,
                      std::make_unique<SparseFile>(engine.files(), path, spec,
                                                   engine.spec().solver.i64_input_key, world_size),
                      std::vector<std::unique_ptr<RowImport>>(static_cast<size_t>(world_size)),
                      spec.type != EmbeddingType::localized_one_hot};
  engine.ranks().run([&](Rank& rank) {
    import.ranks[static_cast<size_t>(rank.context().rank)] = rank.embeddings().begin_import(e);
  });
  int64_t not_finite = 0;
  int owner = 0;
  const int64_t rows = import.file->rows(), at_once = rows_of_a_block(spec);
  for (int64_t begin = 0; begin < rows; begin += at_once) {
    const RowBlock block = import.file->read(Range{begin, std::min(rows, begin + at_once)}, true);
    add_block(engine, import, block, begin);
    not_finite += count_not_finite(block.vectors);
    for (size_t i = 0; import.same_order && i < block.keys.size(); ++i) {
      const int previous = std::exchange(owner, owner_of(spec, block.keys[i], slot_of(block, i), world_size));
      import.same_order = previous <= owner;
    }
  }
  warn_if_not_finite(path, not_finite);
  return import;
}

}  // namespace

void load_sparse_weights(Engine& engine, const std::map<std::string, std::string>& path_by_embedding) {
  std::vector<SparseImport> imports;
  for (const auto& [name, path] : path_by_embedding) {
    engine.files().recover(path);
    imports.push_back(read_sparse(engine, engine.embedding_index(name), path));
  }
  engine.forget_divergence();
  for (SparseImport& import : imports) {
    engine.ranks().run([&](Rank& rank) { import.ranks[static_cast<size_t>(rank.context().rank)]->commit(); });
    LoadedKeys loaded;
    for (int r = 0; r < engine.ranks().size(); ++r)
      loaded.rows.push_back(engine.ranks()[r].embeddings().end_row(import.e));
    if (!import.same_order) loaded.keys = import.file->read(Range{0, import.file->rows()}, false);
    engine.loaded_keys(import.e) = std::move(loaded);
  }
}

void load_sparse_optimizer(Engine& engine, const std::map<std::string, std::string>& path_by_embedding) {
  std::vector<std::pair<int, std::unique_ptr<SparseStates>>> loaded;
  for (const auto& [name, path] : path_by_embedding) {
    const int e = engine.embedding_index(name);
    const EmbeddingSpec& spec = engine.spec().embeddings[static_cast<size_t>(e)];
    engine.files().recover(path);
    bool has_rows = false;
    for (int r = 0; r < engine.ranks().size(); ++r) has_rows |= engine.ranks()[r].embeddings().size(e) > 0;
    if (!has_rows)
      log::warning(
          "\"{}\": embedding \"{}\" has no rows yet, so these states belong to none; load its weights "
          "first",
          path, name);
    loaded.emplace_back(e,
                        std::make_unique<SparseStates>(engine.files(), path, spec, engine.spec().embeddings,
                                                       keys_of_file(engine, e), engine.ranks().size()));
  }
  for (const auto& [e, states] : loaded) {
    states->read([&, e = e](const RowBlock& block) {
      engine.ranks().run([&](Rank& rank) { rank.embeddings().import_states(e, block); });
    });
    engine.ranks().run([&, e = e, step = states->optimizer_step()](Rank& rank) {
      rank.embeddings().set_optimizer_step(e, step);
    });
  }
}

}  // namespace ctr
