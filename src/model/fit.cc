// SPDX-License-Identifier: Apache-2.0
#include "model/fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "model/checkpoint.h"

namespace ctr {
namespace {

class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  void restart() { start_ = Clock::now(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// Iterations between two looks at whether the loss is still finite where nothing else asks.
constexpr int64_t kDivergenceInterval = 1000;

class FitLoop {
 public:
  FitLoop(Engine& engine, const FitOptions& options, const FitHook& hook)
      : engine_(engine), solver_(engine.spec().solver), options_(options), hook_(hook) {}

  void run() {
    check();
    log_start();
    engine_.forget_divergence();
    first_step_ = engine_.ranks()[0].trainer().training_step();
    report(Event::started);
    if (solver_.repeat_dataset)
      run_iterations();
    else
      run_epochs();
    require_finite_weights();
    if (!hit_) log_finish();
    Rank& first = engine_.ranks()[0];
    if (const Profile* profile = first.trainer().profile()) {
      log::plain(profile->report(first.context(), first.weights().compute_type()));
      profile->write_trace();
    }
    report(Event::finished);
  }

 private:
  using Event = FitProgress::Event;

  void check() const {
    if (solver_.repeat_dataset)
      require(options_.max_iter > 0, "fit(): max_iter must be positive when repeat_dataset is True, got {}",
              options_.max_iter);
    else
      require(options_.num_epochs > 0,
              "fit(): num_epochs must be positive when repeat_dataset is False, got {}", options_.num_epochs);
  }

  void run_iterations() {
    std::vector<ReaderStart> starts;  // a further fit() goes on where the last one stopped
    for (Reader* reader : {&engine_.train_reader(), &engine_.eval_reader()})
      if (!reader->started() || reader->failed()) starts.push_back({reader});
    start_readers(starts);
    total_ = options_.max_iter;
    while (iteration_ < options_.max_iter && !stop_) iterate();
  }

  void run_epochs() {
    const DataSpec& data = engine_.spec().data;
    start_readers(
        {{&engine_.train_reader(), data.sources.front()}, {&engine_.eval_reader(), data.eval_source}});
    for (; epoch_ < options_.num_epochs && !stop_; ++epoch_) {
      log::plain(fmt::format("{0}Epoch {1}{0}", std::string(35, '-'), epoch_));
      if (epoch_ > 0) engine_.train_reader().start(data.sources.front());
      const int64_t before = iteration_;
      epoch_dropped_rows_ = 0;
      while (!stop_ && iterate()) {
      }
      if (stop_) return;
      end_epoch(iteration_ > before);
      constexpr int64_t kUnknown = 0;
      if (epoch_ == 0 && __builtin_mul_overflow(iteration_, options_.num_epochs, &total_)) total_ = kUnknown;
    }
  }

  // Takes the next batch; false at the end of the data. Only a batch that was trained on is an iteration,
  // with a step of the schedule and what is due after it.
  bool iterate() {
    LearningRateSchedule& schedule = engine_.schedule();
    const int64_t schedule_step = schedule.step();
    const float lr = schedule.next();
    engine_.set_learning_rate(lr);
    const TrainingStep step = engine_.step();
    if (step.kind == TrainingStep::Kind::trained) {
      trained_rows_ += step.rows;
      if ((iteration_ + 1) % kDivergenceInterval == 0) require_finite_loss();
      if (due(options_.display)) display(lr);
      evaluate_and_save();
      ++iteration_;
      report(Event::iteration);
    } else {
      schedule.set_step(schedule_step);
      epoch_dropped_rows_ += step.rows;
      dropped_rows_ += step.rows;
      report(Event::tick);
    }
    return step.kind != TrainingStep::Kind::end;
  }

  // The end of an epoch stands for the iteration that comes next where an evaluation or a snapshot is due.
  void end_epoch(bool any_trained) {
    if (!any_trained) return evaluate_alone();
    if (epoch_dropped_rows_ > 0)
      log::info(
          "Epoch {}: {} samples were not trained on, since they fill no batch of {}; "
          "drop_incomplete_batch=False trains on them, too",
          epoch_, epoch_dropped_rows_, solver_.batch_size);
    evaluate_and_save();
  }

  // Without a single full batch only a fit that shows no loss and evaluates has something to do.
  void evaluate_alone() {
    const std::string problem = fmt::format(
        "\"{}\" has no full batch of {} samples: nothing was trained; drop_incomplete_batch=False "
        "trains on the {} that there are",
        engine_.train_reader().source(), solver_.batch_size, epoch_dropped_rows_);
    if (options_.display > 0 || options_.eval_interval <= 0)
      throw Error(ErrorKind::invalid_argument, problem);
    log::warning("{}", problem);
    evaluate();
  }

  void evaluate_and_save() {
    if (std::exchange(acted_, iteration_) == iteration_) return;
    if (due(options_.eval_interval)) evaluate();
    if (hit_ || !due(options_.snapshot)) return;
    require_finite_loss();
    save_checkpoint(engine_, options_.snapshot_prefix, iteration_);
    report(Event::snapshot);
  }

  bool due(int64_t interval) const { return interval > 0 && iteration_ > 0 && iteration_ % interval == 0; }

  void require_finite_loss() {
    if (const auto found = engine_.divergence())
      fail(ErrorKind::diverged,
           "Train Runtime error: Loss cannot converge: it is not finite since iteration {}, and the first "
           "tensor that is not finite is {}",
           found->step - first_step_, found->name);
  }

  void require_finite_weights() {
    require_finite_loss();
    if (const std::string name = engine_.not_finite(true); !name.empty())
      fail(ErrorKind::diverged,
           "Train Runtime error: Loss cannot converge: after {} iterations {} is not finite", iteration_,
           name);
  }

  void display(float lr) {
    require_finite_loss();
    log::info("Iter: {} Time({} iters): {:.6g}s Loss: {:.6g} lr:{:.6g}", iteration_, options_.display,
              display_timer_.seconds(), engine_.current_loss(), lr);
    display_timer_.restart();
    report(Event::display);
  }

  // Over the first batches of the evaluation data.
  void evaluate() {
    if (solver_.repeat_dataset && solver_.max_eval_batches == 0)
      return log::warn_once("max_eval_batches is 0 and the data repeats for ever: nothing is evaluated");
    require_finite_loss();
    report(Event::evaluation_starts);
    const Timer timer;
    Reader& reader = engine_.eval_reader();
    if (!reader.at_start()) reader.start();
    const bool all = !solver_.repeat_dataset && solver_.max_eval_batches == 0;
    int64_t batches = 0;
    for (; all || batches < solver_.max_eval_batches; ++batches) {
      if (!engine_.evaluate()) {
        reader.start();
        break;
      }
      report(Event::tick);
    }
    report_evaluation();
    if (!hit_) log::info("Eval Time for {} iters: {:.6g}s", batches, timer.seconds());
  }

  void report_evaluation() {
    const auto metrics = engine_.eval_metrics();
    for (const auto& [name, value] : metrics) {
      log::info("Evaluation, {}: {}", name, std::isnan(value) ? "nan" : fmt::format("{:.6g}", value));
      const auto threshold = solver_.metrics.find(name);
      const bool passed = name == "AUC" && threshold != solver_.metrics.end() && threshold->second < 1.0 &&
                          value >= threshold->second;
      if (passed) log_hit(threshold->second);
    }
    report(Event::evaluated, metrics);
  }

  void report(Event event, const std::vector<std::pair<std::string, double>>& metrics = {}) {
    const bool asked =
        hook_({event, iteration_, total_, epoch_, timer_.seconds(), trained_rows_, dropped_rows_, metrics});
    if (asked && !stop_) log::info("fit() was asked to stop at iteration {}", iteration_);
    stop_ |= asked;
  }

  void log_start() const {
    const ModelSpec& spec = engine_.spec();
    log::plain(
        "=====================================================Model "
        "Fit=====================================================");
    if (solver_.repeat_dataset)
      log::info("Use non-epoch mode with number of iterations: {}", options_.max_iter);
    else
      log::info("Use epoch mode with number of epochs: {}", options_.num_epochs);
    log::info("Training batchsize: {}, evaluation batchsize: {}", solver_.batch_size,
              solver_.batch_size_eval);
    log::info("Evaluation interval: {}, snapshot interval: {}", options_.eval_interval, options_.snapshot);
    Rank& rank = engine_.ranks()[0];
    log::info("Dense network trainable: {}", rank.trainer().dense_frozen ? "False" : "True");
    std::vector<std::pair<std::string, bool>> trainable;
    for (size_t e = 0; e < spec.embeddings.size(); ++e)
      trainable.emplace_back(spec.embeddings[e].name, !rank.trainer().embedding_frozen[e]);
    std::sort(trainable.begin(), trainable.end());
    for (const auto& [name, value] : trainable)
      log::info("Sparse embedding {} trainable: {}", name, value ? "True" : "False");
    log::info("Use mixed precision: {}, scaler: {:.6f}, use cuda graph: {}",
              solver_.use_mixed_precision ? "True" : "False", solver_.scaler,
              rank.context().stream && solver_.use_cuda_graph ? "True" : "False");
    const ScheduleSpec& s = engine_.schedule().spec();
    log::info("lr: {:.6f}, warmup_steps: {}, end_lr: {:.6f}", s.base_lr, s.warmup_steps, s.end_lr);
    log::info("decay_start: {}, decay_steps: {}, decay_power: {:.6f}", s.decay_start, s.decay_steps,
              s.decay_power);
    log::info("Training source file: {}", spec.data.sources.front());
    log::info("Evaluation source file: {}", spec.data.eval_source);
  }

  void log_hit(double threshold) {
    hit_ = stop_ = true;
    const double speed = static_cast<double>(trained_rows_) / timer_.seconds();
    const std::string where = solver_.repeat_dataset
                                  ? fmt::format("{} / {} iterations with", iteration_, options_.max_iter)
                                  : fmt::format("{} / {} epochs {} global iterations with", epoch_,
                                                options_.num_epochs, iteration_);
    log::info("Hit target accuracy AUC {:.6f} at {} batchsize {} in {:.2f}s. Average speed {:.6f} records/s.",
              threshold, where, solver_.batch_size, timer_.seconds(), speed);
  }

  void log_finish() const {
    if (solver_.repeat_dataset)
      log::info("Finish {} iterations with batchsize: {} in {:.2f}s.", iteration_, solver_.batch_size,
                timer_.seconds());
    else
      log::info("Finish {} epochs {} global iterations with batchsize {} in {:.2f}s.", epoch_, iteration_,
                solver_.batch_size, timer_.seconds());
  }

  Engine& engine_;
  const SolverSpec& solver_;
  const FitOptions& options_;
  const FitHook& hook_;
  Timer timer_, display_timer_;
  int64_t iteration_ = 0, total_ = 0, epoch_ = 0;
  int64_t acted_ = 0;       // the last iteration that was asked for evaluation and snapshot
  int64_t first_step_ = 0;  // of the model, when fit began
  int64_t trained_rows_ = 0, dropped_rows_ = 0, epoch_dropped_rows_ = 0;
  bool hit_ = false, stop_ = false;  // the accuracy that was asked for; that or another reason to end
};

}  // namespace

void fit(Engine& engine, const FitOptions& options, const FitHook& hook) {
  FitLoop(engine, options, hook).run();
}

}  // namespace ctr
